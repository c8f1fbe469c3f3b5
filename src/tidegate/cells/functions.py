"""Element-wise functions for equations, of traced values and of torch tensors."""

from collections.abc import Callable
from functools import wraps
from typing import Any


def named(definition: Callable[..., Any]) -> Callable[..., Any]:
    """Makes the function, in traced equations, an operation of its own name, which has a record in
    `calculus/operations.py`. With other arguments, such as tensors, its body runs."""

    @wraps(definition)
    def function(*args: Any) -> Any:
        traced = next((x for x in args if hasattr(x, "operation")), None)
        return definition(*args) if traced is None else traced.operation(definition.__name__, *args)

    return function


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), in (0, 1)."""
    return x.sigmoid()


def tanh(x: Any) -> Any:
    """(exp(x) - exp(-x)) / (exp(x) + exp(-x)), in (-1, 1)."""
    return x.tanh()


def relu(x: Any) -> Any:
    """max(x, 0); its derivative at 0 is taken as 0."""
    return x.relu()


def exp(x: Any) -> Any:
    """e^x."""
    return x.exp()


def log(x: Any) -> Any:
    """Natural logarithm; NaN below 0, -inf at 0."""
    return x.log()


def sqrt(x: Any) -> Any:
    """Square root; NaN below 0."""
    return x.sqrt()


def log1p(x: Any) -> Any:
    """log(1 + x), exact for small x; NaN below -1."""
    return x.log1p()


def absolute(x: Any) -> Any:
    """|x|; its derivative at 0 is taken as 0."""
    return x.abs()


@named
def softplus(x: Any) -> Any:
    """log(1 + exp(x)), in (0, inf), as max(x, 0) + log(1 + exp(-|x|)) so that it cannot overflow."""
    return (x + x.abs()) / 2 + (-x.abs()).exp().log1p()


def maximum(x: Any, y: Any) -> Any:
    """The larger of two values; where they are equal each gets half of the gradient."""
    if isinstance(x, (int, float)):
        x, y = y, x
    return x.maximum(x.new_tensor(y) if isinstance(y, (int, float)) and hasattr(x, "new_tensor") else y)


def minimum(x: Any, y: Any) -> Any:
    """The smaller of two values; where they are equal each gets half of the gradient."""
    return -maximum(-x, -y)
