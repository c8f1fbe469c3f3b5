"""The operations of expressions, one record each: all properties of all operations, in one table.

To add an operation, write its function in `cells/functions.py` and add its record here. With a `definition` in terms of
other operations the record is complete: every engine derives the missing fields from the definition. Without
one, the operation is a primitive: `engines/eager.py` finds it by its name in torch, and `engines/cpu/functions.py` and
`engines/reference/functions.py` must implement it; the latter has derivatives of its own, to check those given here.

Derivatives and definitions are functions of Expressions; nothing here imports torch or NumPy.
"""

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import unwrap
from types import MappingProxyType
from typing import Any

from tidegate.cells import functions
from tidegate.errors import EquationError

Range = tuple[float, float]
EVERYTHING: Range = (-math.inf, math.inf)


@dataclass(frozen=True)
class Operation:
    """The properties of y = name(x, ...).

    derivative: (d, y, x, ...) -> the gradients with respect to x, ..., where d is the one with respect to y.
    number: y for numbers; for a Python operator it accepts arrays and tensors too.
    torch: the name of the function in torch; None for a Python operator, or where the engines define it themselves.
    range: the smallest interval known to hold y, from those of x, ....
    cheap: whether the backward pass computes y again from saved values rather than saving it.
    definition: y in terms of other operations; None for a primitive.
    sign, precedence: of a Python operator. printed: the name in a derivation. latex, mathml: the same in those formats.
    latex_around, mathml_around: what encloses the argument, for an operation that is not written as name(x).
    """

    name: str
    arity: int = 1
    derivative: Callable[..., tuple[Any, ...]] | None = None
    number: Callable[..., Any] | None = None
    torch: str | None = None
    range: Callable[..., Range] | None = None
    cheap: bool = False
    definition: Callable[..., Any] | None = None
    sign: str | None = None
    precedence: int = 0
    printed: str | None = None
    latex: str | None = None
    latex_around: tuple[str, str] | None = None
    mathml: str | None = None
    mathml_around: tuple[str, str] | None = None


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


# fmt: off
TABLE = (
    Operation("add", 2, lambda d, y, a, b: (d, d), operator.add, sign="+", precedence=1, cheap=True,
              range=lambda a, b: (a[0] + b[0], a[1] + b[1])),
    Operation("sub", 2, lambda d, y, a, b: (d, -d), operator.sub, sign="-", precedence=1, cheap=True,
              range=lambda a, b: (a[0] - b[1], a[1] - b[0])),
    Operation("mul", 2, lambda d, y, a, b: (d * b, d * a), operator.mul, sign="*", precedence=3, cheap=True),
    Operation("div", 2, lambda d, y, a, b: (d / b, -(d * y / b)), operator.truediv, sign="/", precedence=3),
    Operation("neg", 1, lambda d, y, a: (-d,), operator.neg, precedence=2, cheap=True, range=lambda a: (-a[1], -a[0])),
    Operation("maximum", 2, lambda d, y, a, b: (d * (1 + (a - b).sign()) / 2, d * (1 - (a - b).sign()) / 2), max,
              cheap=True, range=lambda a, b: (max(a[0], b[0]), max(a[1], b[1])), printed="max", latex=r"\max"),
    Operation("abs", 1, lambda d, y, a: (d * a.sign(),), abs, "abs", cheap=True,
              range=lambda a: (0.0, max(-a[0], a[1])), latex_around=(r"\left|", r"\right|"),
              mathml_around=("<mo>|</mo>", "<mo>|</mo>")),
    Operation("exp", 1, lambda d, y, a: (d * y,), math.exp, "exp", latex=r"\exp",
              range=lambda a: (0.0, math.exp(a[1]) if a[1] < 700 else math.inf)),
    Operation("log", 1, lambda d, y, a: (d / a,), math.log, "log", latex=r"\log"),
    Operation("log1p", 1, lambda d, y, a: (d / (1 + a),), math.log1p, "log1p"),
    Operation("sqrt", 1, lambda d, y, a: (d / (2 * y),), math.sqrt, "sqrt", range=lambda a: (0.0, math.inf),
              latex_around=(r"\sqrt{", "}"), mathml_around=("<msqrt>", "</msqrt>")),
    Operation("sigmoid", 1, lambda d, y, a: (d * y * (1 - y),), logistic, "sigmoid", range=lambda a: (0.0, 1.0),
              latex=r"\sigma", mathml="σ"),
    Operation("tanh", 1, lambda d, y, a: (d * (1 - y * y),), math.tanh, "tanh", range=lambda a: (-1.0, 1.0),
              latex=r"\tanh"),
    Operation("relu", 1, lambda d, y, a: (d * y.step(),), lambda a: max(a, 0.0), "relu", cheap=True,
              range=lambda a: (max(a[0], 0.0), max(a[1], 0.0))),
    # in gradients: 0 if x <= 0 else 1, and -1, 0 or 1
    Operation("step", 1, lambda d, y, a: (0,), lambda a: float(not a <= 0), cheap=True, range=lambda a: (0.0, 1.0)),
    Operation("sign", 1, lambda d, y, a: (0,), lambda a: float((a > 0) - (a < 0)), "sign", cheap=True,
              range=lambda a: (-1.0, 1.0)),
    Operation("softplus", 1, lambda d, y, a: (d * a.sigmoid(),), definition=unwrap(functions.softplus)),
)
# fmt: on

OPERATIONS: Mapping[str, Operation] = MappingProxyType({operation.name: operation for operation in TABLE})


def printed_as(name: str) -> Operation | None:
    """The record of the operation that a derivation prints as `name`; None for a function that is no operation."""
    return next((operation for operation in OPERATIONS.values() if (operation.printed or operation.name) == name), None)


def find(name: str) -> Operation:
    """The record of an operation; EquationError for a name that has none."""
    if name not in OPERATIONS:
        raise EquationError(f"there is no operation {name!r}; its record belongs in tidegate/calculus/operations.py")
    return OPERATIONS[name]
