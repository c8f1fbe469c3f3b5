"""The exceptions of the library. Each message names the argument, what was expected, what came, and the remedy."""


class TidegateError(Exception):
    """Base of every error that Tidegate raises on purpose."""


class EquationError(TidegateError, ValueError):
    """A cell's equations cannot be traced or differentiated."""


class ShapeError(TidegateError, ValueError):
    """A tensor or a size argument does not have the shape that the call needs."""


class ArgumentError(TidegateError, ValueError):
    """An argument has a value or a type that the call does not accept."""


class IndicesError(ArgumentError, IndexError):
    """A class index lies outside 0..D-1."""


class EngineError(TidegateError, RuntimeError):
    """The engine that was asked for cannot run this call."""


class DataError(TidegateError, ValueError):
    """A corpus cannot be found, fetched, decoded or split as asked."""


class CheckpointError(TidegateError, RuntimeError):
    """A checkpoint is missing, damaged, or belongs to another cell, vocabulary or text."""


class DivergenceError(TidegateError, RuntimeError):
    """Training met a loss or a gradient that is not finite."""
