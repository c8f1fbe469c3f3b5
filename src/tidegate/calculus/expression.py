"""Element-wise expressions: what equations return when they run on symbolic values.

An Expression is immutable and interned: two expressions of the same structure are the same object, so a graph shares
its common parts, `is` compares, and an Expression can key a dictionary. Arithmetic with the neutral elements 0 and 1 is
simplified as it is written; nothing else is rearranged, so a factor stays a factor.

    op        arguments   value                      op        arguments   value
    leaf      -           a variable, see leaves.py  log1p     x           log(1 + x)
    constant  -           a number                   sqrt      x           square root of x
    add sub   x, y        x + y, x - y               abs       x           |x|
    mul div   x, y        x * y, x / y               sigmoid   x           1 / (1 + exp(-x))
    maximum   x, y        the larger one             tanh      x           hyperbolic tangent
    neg       x           -x                         relu      x           max(x, 0)
    exp log   x           e^x, ln x                  step sign x           0 if x <= 0 else 1; -1, 0 or 1
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar
from weakref import WeakValueDictionary

from tidegate.calculus.leaves import KINDS
from tidegate.errors import EquationError
from tidegate.forks import held_while_forking

V = TypeVar("V")

BINARY = ("add", "sub", "mul", "div", "maximum")
UNARY = ("neg", "exp", "log", "log1p", "sqrt", "abs", "sigmoid", "tanh", "relu", "step", "sign")


class Expression:
    """A node of the graph: `op` applied to `args`; a leaf has a `kind` and a `name`, a constant a `value`."""

    __slots__ = ("__weakref__", "args", "kind", "name", "op", "value")
    __array_ufunc__ = None  # makes NumPy leave arithmetic with an Expression to the Expression

    op: str
    args: tuple[Expression, ...]
    kind: str | None
    name: str | None
    value: float | None

    _interned: ClassVar[WeakValueDictionary[tuple, Expression]] = WeakValueDictionary()
    _lock: ClassVar[threading.Lock] = held_while_forking(threading.Lock())

    def __new__(
        cls,
        op: str,
        *args: Expression,
        kind: str | None = None,
        name: str | None = None,
        value: float | None = None,
    ) -> Expression:
        key = (op, tuple(map(id, args)), kind, name, value)
        with cls._lock:
            found = cls._interned.get(key)
            if found is None:
                found = super().__new__(cls)
                for slot, item in (("op", op), ("args", args), ("kind", kind), ("name", name), ("value", value)):
                    object.__setattr__(found, slot, item)
                cls._interned[key] = found
        return found

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("an Expression is immutable")

    def __reduce__(self) -> tuple:
        nodes = subgraph([self])
        index = {node: i for i, node in enumerate(nodes)}
        rows = [(n.op, tuple(index[arg] for arg in n.args), n.kind, n.name, n.value) for n in nodes]
        return _rebuild, (rows,)

    def __repr__(self) -> str:
        return infix(self)

    def __bool__(self, other: object = None) -> bool:
        raise EquationError(
            "equations cannot branch on a value: they are traced once, for all values; "
            "write maximum, minimum or relu instead of if, and, or, <, >"
        )

    __lt__ = __le__ = __gt__ = __ge__ = __bool__

    def __add__(self, other: Any) -> Expression:
        return _binary("add", self, other)

    def __radd__(self, other: Any) -> Expression:
        return _binary("add", other, self)

    def __sub__(self, other: Any) -> Expression:
        return _binary("sub", self, other)

    def __rsub__(self, other: Any) -> Expression:
        return _binary("sub", other, self)

    def __mul__(self, other: Any) -> Expression:
        return _binary("mul", self, other)

    def __rmul__(self, other: Any) -> Expression:
        return _binary("mul", other, self)

    def __truediv__(self, other: Any) -> Expression:
        return _binary("div", self, other)

    def __rtruediv__(self, other: Any) -> Expression:
        return _binary("div", other, self)

    def __neg__(self) -> Expression:
        if self.op == "neg":
            return self.args[0]
        return constant(-self.value) if self.value is not None else Expression("neg", self)

    def __pow__(self, power: Any) -> Expression:
        if not isinstance(power, int) or power < 1:
            raise EquationError(
                f"a power must be a whole number >= 1, got {power!r}; use sqrt, exp(power * log(x)) or a division"
            )
        half = self if power == 1 else self ** (power // 2)
        return self if power == 1 else half * half * (self if power % 2 else 1)

    def exp(self) -> Expression:
        return Expression("exp", self)

    def log(self) -> Expression:
        return Expression("log", self)

    def log1p(self) -> Expression:
        return Expression("log1p", self)

    def sqrt(self) -> Expression:
        return Expression("sqrt", self)

    def abs(self) -> Expression:
        return Expression("abs", self)

    def sigmoid(self) -> Expression:
        return Expression("sigmoid", self)

    def tanh(self) -> Expression:
        return Expression("tanh", self)

    def relu(self) -> Expression:
        return Expression("relu", self)

    def step(self) -> Expression:
        return Expression("step", self)

    def sign(self) -> Expression:
        return Expression("sign", self)

    def maximum(self, other: Any) -> Expression:
        return Expression("maximum", self, as_expression(other))


def _rebuild(rows: Sequence[tuple]) -> Expression:
    """The expression of the last row, from rows of (op, indices of the arguments, kind, name, value)."""
    nodes: list[Expression] = []
    for op, args, kind, name, value in rows:
        nodes.append(Expression(op, *(nodes[i] for i in args), kind=kind, name=name, value=value))
    return nodes[-1]


def leaf(kind: str, name: str) -> Expression:
    """The variable of that kind and name; `kind` is a key of `leaves.KINDS`."""
    if kind not in KINDS:
        raise EquationError(f"the kind of a leaf must be one of {', '.join(KINDS)}, got {kind!r}")
    return Expression("leaf", kind=kind, name=name)


def symbol(name: str) -> Expression:
    """A variable that belongs to no step."""
    return leaf("symbol", name)


def constant(value: float) -> Expression:
    """The leaf of a number; EquationError for infinity and NaN."""
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise EquationError(f"a number in the equations must be finite in float64, got {value!r:.60}")
    return Expression("constant", value=number + 0.0)  # -0.0 equals 0.0, so the two must be one leaf: 0.0


def as_expression(x: Any) -> Expression:
    """`x` itself, or the constant of a number; EquationError for anything else."""
    if isinstance(x, Expression):
        return x
    if isinstance(x, (int, float)) and not isinstance(x, bool):
        return constant(x)
    raise EquationError(
        f"equations combine traced values and numbers, got a {type(x).__name__}: {x!r:.60}; "
        "a learned per-unit vector is declared in `vectors`"
    )


def _binary(op: str, left: Any, right: Any) -> Expression:
    x, y = as_expression(left), as_expression(right)
    if op == "mul":
        if x.value == 0 or y.value == 0:
            return constant(0)
        if x.value == 1:
            return y
        if y.value == 1:
            return x
    elif op == "add":
        if x.value == 0:
            return y
        if y.value == 0:
            return x
    elif op == "sub":
        if y.value == 0:
            return x
        if x.value == 0:
            return -y
    elif op == "div" and y.value == 1:
        return x
    if x.value is not None and y.value is not None and not (op == "div" and y.value == 0):
        return constant(ARITHMETIC[op](x.value, y.value))
    return Expression(op, x, y)


def apply(op: str, *args: Expression) -> Expression:
    """What `op` of the arguments is when equations write it, with neutral elements left out."""
    if op in ARITHMETIC:
        return _binary(op, *args)
    return -args[0] if op == "neg" else Expression(op, *args)


ARITHMETIC: Mapping[str, Callable[[Any, Any], Any]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
}


def subgraph(roots: Sequence[Expression], cut: Any = ()) -> list[Expression]:
    """Every expression that `roots` consist of, arguments before their users; those in `cut` are not entered."""
    order: dict[Expression, None] = {}
    stack = [(root, False) for root in reversed(roots)]
    while stack:
        node, entered = stack.pop()
        if node in order:
            continue
        if entered or node in cut:
            order[node] = None
        else:
            stack.append((node, True))
            stack.extend((arg, False) for arg in reversed(node.args))
    return list(order)


def evaluate(
    roots: Sequence[Expression], given: Mapping[Expression, V], table: Mapping[str, Callable[..., V]]
) -> list[V]:
    """The values of `roots`, each shared part computed once.

    `given` holds the values of leaves and of any larger expression that is known already; those are not entered.
    `table` says what each op does, and `table["constant"]` makes a value of a number: with NumPy's functions this
    evaluates on arrays, with torch's on tensors, with an emitter's it writes a program.
    """
    value: dict[Expression, V] = {}
    for node in subgraph(roots, given):
        if node in given:
            value[node] = given[node]
        elif node.op == "constant":
            value[node] = table["constant"](node.value)
        elif node.op == "leaf":
            raise KeyError(f"no value given for the {node.kind} {node.name}")
        else:
            value[node] = table[node.op](*(value[arg] for arg in node.args))
    return [value[root] for root in roots]


PRECEDENCE = {"add": 1, "sub": 1, "neg": 2, "mul": 3, "div": 3}
SIGN = {"add": " + ", "sub": " - ", "mul": " * ", "div": " / "}


def infix(x: Expression, names: Mapping[Expression, str] | None = None, *, outermost: bool = True) -> str:
    """`x` as a person would type it; parts in `names` appear by name, except `x` itself when it is outermost."""
    names = names or {}

    def write(node: Expression, around: int, top: bool) -> str:
        if node in names and not (top and outermost):
            return names[node]
        if node.op == "leaf":
            return KINDS[str(node.kind)].printed.format(node.name)
        if node.op == "constant":
            return f"{node.value:g}"
        if node.op == "mul" and node.args[0] is node.args[1]:
            return f"{write(node.args[0], 4, False)}^2"
        if node.op in SIGN:
            level = PRECEDENCE[node.op]
            left, right = node.args
            text = write(left, level, False) + SIGN[node.op] + write(right, level + (node.op in ("sub", "div")), False)
            return f"({text})" if level < around else text
        if node.op == "neg":
            text = "-" + write(node.args[0], 3, False)
            return f"({text})" if around > 1 else text
        return f"{node.op}({', '.join(write(arg, 0, False) for arg in node.args)})"

    return write(x, 0, True)
