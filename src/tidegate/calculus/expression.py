"""Element-wise expressions: what equations return when they run on symbolic values.

An Expression is immutable and interned: two expressions of the same structure are the same object, so a graph shares
its common parts, `is` compares, and an Expression can key a dictionary. Arithmetic with the neutral elements 0 and 1 is
simplified as it is written; nothing else is rearranged, so a factor stays a factor.

An Expression is a leaf, that is a variable (its kinds are in `leaves.py`) or a constant, or one of the operations of
`operations.py` applied to other expressions.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, TypeVar
from weakref import WeakValueDictionary

from tidegate.calculus import operations
from tidegate.calculus.leaves import KINDS
from tidegate.calculus.operations import Operation
from tidegate.errors import EquationError
from tidegate.forks import held_while_forking

V = TypeVar("V")


class Expression:
    """A node of the graph: `op` applied to `args`; a leaf has a `kind` and a `name`, a constant a `value`."""

    __slots__ = ("__weakref__", "args", "kind", "name", "op", "value")
    __array_ufunc__ = None  # makes NumPy use the Expression's operators in mixed arithmetic

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
        return apply("add", self, other)

    def __radd__(self, other: Any) -> Expression:
        return apply("add", other, self)

    def __sub__(self, other: Any) -> Expression:
        return apply("sub", self, other)

    def __rsub__(self, other: Any) -> Expression:
        return apply("sub", other, self)

    def __mul__(self, other: Any) -> Expression:
        return apply("mul", self, other)

    def __rmul__(self, other: Any) -> Expression:
        return apply("mul", other, self)

    def __truediv__(self, other: Any) -> Expression:
        return apply("div", self, other)

    def __rtruediv__(self, other: Any) -> Expression:
        return apply("div", other, self)

    def __neg__(self) -> Expression:
        return apply("neg", self)

    def __pow__(self, power: Any) -> Expression:
        if not isinstance(power, int) or power < 1:
            raise EquationError(
                f"a power must be a whole number >= 1, got {power!r}; use sqrt, exp(power * log(x)) or a division"
            )
        half = self if power == 1 else self ** (power // 2)
        return self if power == 1 else half * half * (self if power % 2 else 1)

    def __getattr__(self, name: str) -> Callable[..., Expression]:
        """`x.tanh()`, `x.maximum(y)`: every operation by its name, as torch's tensors have them."""
        if name not in operations.OPERATIONS:
            raise AttributeError(f"there is no operation {name!r}")
        return partial(apply, name, self)

    def operation(self, name: str, *args: Any) -> Expression:
        """The operation of that name, of the arguments alone: see `cells.functions.named`."""
        return apply(name, *args)


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


def apply(op: str, *args: Any) -> Expression:
    """`op` of the arguments, simplified for 0 and 1, and computed where all are numbers."""
    x, *rest = nodes = tuple(map(as_expression, args))
    simple = _without_neutral(op, x, *rest)
    if simple is not None:
        return simple
    operation = operations.find(op)
    if len(nodes) != operation.arity:
        raise EquationError(f"{op} takes {operation.arity} argument{'s' * (operation.arity > 1)}, got {len(nodes)}")
    if all(node.value is not None for node in nodes):
        number = _at_numbers(operation, nodes)
        if number is not None:
            return number
    return Expression(op, *nodes)


def _without_neutral(op: str, x: Expression, y: Expression | None = None) -> Expression | None:
    """`op` of the arguments, simplified for 0, 1 or a double negation; None where it cannot be."""
    if op == "neg" and x.op == "neg":
        return x.args[0]
    if y is None:
        return None
    if op == "mul" and (x.value == 0 or y.value == 0):
        return constant(0)
    if op == "sub" and x.value == 0:
        return y if y.value == 0 else -y
    if (op == "mul" and x.value == 1) or (op == "add" and x.value == 0):
        return y
    if (op in ("mul", "div") and y.value == 1) or (op in ("add", "sub") and y.value == 0):
        return x
    return None


def _at_numbers(operation: Operation, constants: Sequence[Expression]) -> Expression | None:
    """The operation of constants as a constant; None where the result is not a finite number."""
    try:
        if operation.number is None:
            assert operation.definition is not None
            found = operation.definition(*constants)
            return found if found.value is not None else None
        value = operation.number(*(node.value for node in constants))
    except (ArithmeticError, ValueError):
        return None
    return constant(value) if math.isfinite(value) else None


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
    `table` has a function for each operation, and `table["constant"]` makes a value of a number: with NumPy's functions
    this computes arrays, with torch's tensors, with a code generator's it writes a program. An operation that is not in
    the table is computed by its definition.
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
            function = table.get(node.op)
            if function is None:
                function = _by_definition(node, table)
            value[node] = function(*(value[arg] for arg in node.args))
    return [value[root] for root in roots]


def _by_definition(node: Expression, table: Mapping[str, Callable[..., V]]) -> Callable[..., V]:
    """The operation of `node` as a function of values, through its definition."""
    symbols = {i: symbol(f"argument {i}") for i, arg in enumerate(node.args) if arg.op != "constant"}
    body = definition_of(node.op, tuple(symbols.get(i, arg) for i, arg in enumerate(node.args)))

    def function(*values: V) -> V:
        return evaluate([body], {e: values[i] for i, e in symbols.items()}, table)[0]

    return function


def definition_of(op: str, args: tuple[Expression, ...]) -> Expression:
    """The operation of the arguments in terms of other operations; EquationError for a primitive."""
    definition = operations.find(op).definition
    if definition is None:
        raise EquationError(f"the operation {op} has no definition, so each engine must implement it")
    return as_expression(definition(*args))


#: The most operations of a printed expression; the rest is written as "...".
MOST_PRINTED = 2_000


def infix(x: Expression, names: Mapping[Expression, str] | None = None, *, outermost: bool = True) -> str:
    """`x` in the notation of Python; parts in `names` appear by name, except `x` itself when it is outermost.

    Shared parts are written out each time they occur; after 2,000 operations the rest of them are "...".
    """
    names, left, written = names or {}, MOST_PRINTED, []
    # Text, or an expression with the precedence of what it is part of; the next one to be written comes last.
    waiting: list[str | tuple[Expression, int]] = [(x, 0)]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            written.append(item)
            continue
        node, around = item
        if node in names and not (node is x and outermost):
            written.append(names[node])
        elif node.op == "leaf":
            written.append(KINDS[str(node.kind)].printed.format(node.name))
        elif node.op == "constant":
            written.append(f"{node.value:g}")
        elif left <= 0:
            written.append("...")
        else:
            left -= 1
            waiting += reversed(_parts(node, around))
    return "".join(written)


def _parts(node: Expression, around: int) -> list[str | tuple[Expression, int]]:
    """What an operation is written as: text and its arguments."""
    operation = operations.find(node.op)
    level = operation.precedence
    parts: list[str | tuple[Expression, int]]
    if node.op == "mul" and node.args[0] is node.args[1]:
        return [(node.args[0], 4), "^2"]
    if operation.sign is not None:
        left, right = node.args
        parts = [(left, level), f" {operation.sign} ", (right, level + (node.op in ("sub", "div")))]
        return ["(", *parts, ")"] if level < around else parts
    if node.op == "neg":
        parts = ["-", (node.args[0], 3)]
        return ["(", *parts, ")"] if around > 1 else parts
    parts = [node.op, "("]
    for i, arg in enumerate(node.args):
        parts += [", "] * (i > 0) + [(arg, 0)]
    return [*parts, ")"]
