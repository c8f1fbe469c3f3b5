"""The exceptions of the library. Each message names the argument, what was expected, what was given, and the remedy.

Every error about an argument is also an instance of what torch.nn raises for the same argument, so that code written
for torch.nn, such as `except RuntimeError`, still works:

    TidegateError
      ShapeError           ValueError, RuntimeError
      ArgumentError        ValueError, RuntimeError
        ArgumentTypeError  TypeError, AttributeError
          StateError       IndexError
        IndicesError       IndexError
"""

import difflib
from collections.abc import Iterable


def did_you_mean(got: object, known: Iterable[str]) -> str:
    """ " Did you mean NAME?" with the known name most similar to `got`; empty if none is similar."""
    near = difflib.get_close_matches(str(got).lower(), list(known), n=1)
    return f" Did you mean {near[0]}?" if near else ""


class TidegateError(Exception):
    """Base of all exceptions of Tidegate."""


class EquationError(TidegateError, ValueError):
    """A cell's equations cannot be traced or differentiated."""


class ShapeError(TidegateError, ValueError, RuntimeError):
    """A tensor does not have the shape that the call needs."""


class ArgumentError(TidegateError, ValueError, RuntimeError):
    """An argument has a value, a dtype or a device that the call does not accept."""


class ArgumentTypeError(ArgumentError, TypeError, AttributeError):
    """An argument has a type that the call does not accept.

    An AttributeError too, because torch.nn raises that where it uses an argument without a check.
    """


class StateError(ArgumentTypeError, IndexError):
    """`hx` is not the tensor, or the tuple of tensors, that the states of the cell need.

    An IndexError too, because torch.nn.LSTM raises that where it reads (h_0, c_0) without a check.
    """


class IndicesError(ArgumentError, IndexError):
    """A class index lies outside 0..D-1."""


class EngineError(TidegateError, RuntimeError):
    """The engine that was requested cannot run this call."""


class DataError(TidegateError, ValueError):
    """A corpus cannot be found, fetched, decoded or split as requested."""


class CheckpointError(TidegateError, RuntimeError):
    """A checkpoint is missing, damaged, or belongs to another cell, vocabulary or text."""


class DivergenceError(TidegateError, RuntimeError):
    """A loss or a gradient became infinite or NaN during training."""


class SlowEngineWarning(UserWarning):
    """A layer runs in a Python loop on a GPU, because no faster engine can run it."""
