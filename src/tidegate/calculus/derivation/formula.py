"""Formulas as trees, which `text`, `latex` and `mathml` write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tidegate.calculus import operations
from tidegate.calculus.expression import Expression, subgraph
from tidegate.errors import EquationError


class Formula:
    """A node of a formula."""


@dataclass(frozen=True)
class Name(Formula):
    """A letter with a subscript and a time, t + `time` or a text; with `d`, the gradient dL/d of that name.

    `accent` is "", "tilde" or "hat".
    """

    letter: str
    sub: str = ""
    time: int | str | None = None
    d: bool = False
    accent: str = ""


@dataclass(frozen=True)
class Number(Formula):
    value: float


@dataclass(frozen=True)
class Sum(Formula):
    """Terms with their signs."""

    terms: tuple[tuple[int, Formula], ...]


@dataclass(frozen=True)
class Product(Formula):
    """Factors, element by element, or as matrices."""

    factors: tuple[Formula, ...]
    matrix: bool = False


@dataclass(frozen=True)
class Quotient(Formula):
    top: Formula
    bottom: Formula


@dataclass(frozen=True)
class Square(Formula):
    base: Formula


@dataclass(frozen=True)
class Power(Formula):
    base: Formula
    exponent: str


@dataclass(frozen=True)
class Apply(Formula):
    """A function of the library, "diag", or one of those that a derivation explains where it uses them."""

    function: str
    arguments: tuple[Formula, ...]


@dataclass(frozen=True)
class Transpose(Formula):
    base: Formula


@dataclass(frozen=True)
class Norm(Formula):
    """`kind` "max", "min": the largest and smallest absolute value of a vector's elements; "2", "least": the largest
    and smallest singular value of a matrix; "abs": an absolute value.
    """

    base: Formula
    kind: str


@dataclass(frozen=True)
class Over(Formula):
    """A sum or a product of `body` over an index, "sum" or "prod", from `low` to `high`."""

    kind: str
    index: str
    low: str
    high: str
    body: Formula


@dataclass(frozen=True)
class Partial(Formula):
    """The derivative of `top` with respect to `bottom`."""

    top: Formula
    bottom: Formula


@dataclass(frozen=True)
class Matrix(Formula):
    rows: tuple[tuple[Formula, ...], ...]


@dataclass(frozen=True)
class Relation(Formula):
    """left sign right, within a sentence or a reason; `sign` as in `Equation`."""

    left: Formula
    right: Formula
    sign: str = "="


#: How the sign of an equation is written in text, in LaTeX and in MathML.
RELATIONS = {
    "=": ("=", "=", "="),
    "<=": ("<=", r"\le", "≤"),
    ">=": (">=", r"\ge", "≥"),
    ">": (">", ">", ">"),
    "+": ("+", "+", "+"),
    "": ("", "", ""),
}

IDENTITY, BLANK = Name("I"), Name("")
ZERO, ONE = Number(0), Number(1)


def total(terms: Sequence[Formula]) -> Formula:
    """The sum of the terms, with nested sums flattened and zeros left out."""
    flat: list[tuple[int, Formula]] = []
    for term in terms:
        flat += term.terms if isinstance(term, Sum) else [(1, term)]
    flat = [(sign, term) for sign, term in flat if term != ZERO]
    if not flat:
        return ZERO
    return flat[0][1] if len(flat) == 1 and flat[0][0] > 0 else Sum(tuple(flat))


def product(factors: Sequence[Formula], *, matrix: bool = False) -> Formula:
    """The product of the factors, with nested products of the same kind flattened and ones left out."""
    flat: list[Formula] = []
    for factor in factors:
        flat += factor.factors if isinstance(factor, Product) and factor.matrix == matrix else [factor]
    flat = [factor for factor in flat if factor not in (ONE, IDENTITY)]
    if not flat:
        return IDENTITY if matrix else ONE
    return flat[0] if len(flat) == 1 else Product(tuple(flat), matrix)


def transposed(x: Formula) -> Formula:
    return x.base if isinstance(x, Transpose) else Transpose(x)


def upright(weight: Formula) -> Formula:
    """The letter of a weight: D2L's weights stand on the right of their operand, so as formulas of columns they are
    transposed."""
    return weight.base if isinstance(weight, Transpose) else weight


def diagonal(factor: Formula) -> Formula:
    """diag(factor), or a multiple of the identity for a number."""
    if factor == ONE:
        return IDENTITY
    return Product((factor, IDENTITY), matrix=True) if is_number(factor) else Apply("diag", (factor,))


def is_number(x: Formula) -> bool:
    return isinstance(x, Number) or (isinstance(x, Sum) and all(isinstance(term, Number) for _, term in x.terms))


#: Limits of a printed formula, so that it is readable and the functions that write it do not recurse too deeply.
MOST_OPERATIONS, MOST_NESTED = 2_000, 100


def check_size(e: Expression, names: Mapping[Expression, Formula]) -> None:
    """EquationError if the expression, its named parts by name, is too large to be written as one formula."""
    size: dict[Expression, tuple[int, int]] = {}  # operations written, and how deep they are nested
    for node in subgraph([e], {name for name in names if name is not e}):
        below = [size[arg] for arg in node.args if arg in size] if node is e or node not in names else []
        size[node] = 1 + sum(n for n, _ in below), 1 + max((depth for _, depth in below), default=0)
    operations, depth = size[e]
    if operations > MOST_OPERATIONS or depth > MOST_NESTED:
        raise EquationError(
            f"these equations are too large to be printed: a formula would have {min(operations, 10**9):,} operations, "
            f"nested {depth:,} deep, and the limits are {MOST_OPERATIONS:,} and {MOST_NESTED}"
        )


def write(e: Expression, names: Mapping[Expression, Formula], *, outermost: bool = True) -> Formula:
    """An expression as a formula; its parts that are in `names` appear by name, itself only if not `outermost`.

    EquationError for an expression of more than 2,000 operations or nested more than 100 deep.
    """
    if e in names and not outermost:
        return names[e]
    check_size(e, names)
    return _write(e, names, outermost=outermost)


def _write(e: Expression, names: Mapping[Expression, Formula], *, outermost: bool) -> Formula:
    if e in names and not outermost:
        return names[e]
    if e.op == "leaf":
        return names[e]
    if e.op == "constant":
        assert e.value is not None
        return Sum(((-1, Number(-e.value)),)) if e.value < 0 else Number(e.value)
    args = [_write(arg, names, outermost=False) for arg in e.args]
    match e.op:
        case "add":
            return total(args)
        case "sub":
            return Sum((*_terms(args[0]), *((-sign, term) for sign, term in _terms(args[1]))))
        case "neg":
            return Sum(tuple((-sign, term) for sign, term in _terms(args[0])))
        case "mul" if e.args[0] is e.args[1]:
            return Square(args[0])
        case "mul":
            signs = [-1 if isinstance(arg, Sum) and len(arg.terms) == 1 else 1 for arg in args]
            bare = [arg.terms[0][1] if isinstance(arg, Sum) and len(arg.terms) == 1 else arg for arg in args]
            result = product(bare)
            return result if signs[0] * signs[1] > 0 else Sum(((-1, result),))
        case "div":
            return Quotient(*args)
    return Apply(operations.find(e.op).printed or e.op, tuple(args))


def _terms(x: Formula) -> tuple[tuple[int, Formula], ...]:
    return x.terms if isinstance(x, Sum) else ((1, x),)
