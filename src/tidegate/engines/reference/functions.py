"""The primitive operations in NumPy, each with its own partial derivatives.

This table repeats the derivatives of `calculus/operations.py` and is independent of it on purpose: the gradients of
the reference come from here, so that an error in the derivatives there is found by comparison.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Function:
    """`compute(x, ...)` is y, and `slopes(y, x, ...)` the partial derivatives dy/dx, ...."""

    compute: Callable[..., Array]
    slopes: Callable[..., tuple[Array | float, ...]]


def sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def share(x: Array, y: Array) -> Array:
    """The fraction of a gradient that the first argument of a maximum receives: 1, 0, or 1/2 where both are equal."""
    return (1 + np.sign(x - y)) / 2


FUNCTIONS = {
    "add": Function(np.add, lambda y, a, b: (1.0, 1.0)),
    "sub": Function(np.subtract, lambda y, a, b: (1.0, -1.0)),
    "mul": Function(np.multiply, lambda y, a, b: (b, a)),
    "div": Function(np.divide, lambda y, a, b: (1 / b, -a / np.square(b))),
    "maximum": Function(np.maximum, lambda y, a, b: (share(a, b), 1 - share(a, b))),
    "neg": Function(np.negative, lambda y, x: (-1.0,)),
    "exp": Function(np.exp, lambda y, x: (np.exp(x),)),
    "log": Function(np.log, lambda y, x: (1 / x,)),
    "log1p": Function(np.log1p, lambda y, x: (1 / (1 + x),)),
    "sqrt": Function(np.sqrt, lambda y, x: (0.5 / y,)),
    "abs": Function(np.abs, lambda y, x: (np.sign(x),)),
    "sigmoid": Function(sigmoid, lambda y, x: (y - np.square(y),)),
    "tanh": Function(np.tanh, lambda y, x: (1 / np.square(np.cosh(np.clip(x, -300, 300))),)),
    "relu": Function(lambda x: np.maximum(x, 0), lambda y, x: (np.where(x <= 0, 0.0, 1.0),)),
    "step": Function(lambda x: np.where(x <= 0, 0.0, 1.0), lambda y, x: (0.0,)),
    "sign": Function(np.sign, lambda y, x: (0.0,)),
}

#: The table for `calculus.evaluate`.
OPERATIONS = {"constant": float, **{name: function.compute for name, function in FUNCTIONS.items()}}
