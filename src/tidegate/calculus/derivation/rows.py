"""Formulas of columns as formulas of rows: (U h)^T is H W with W = U^T, and a batch is a matrix of rows."""

from dataclasses import replace

from tidegate.calculus.derivation.formula import (
    BLANK,
    IDENTITY,
    Apply,
    Formula,
    Matrix,
    Name,
    Norm,
    Number,
    Over,
    Partial,
    Power,
    Product,
    Quotient,
    Relation,
    Square,
    Sum,
    Transpose,
    transposed,
)
from tidegate.calculus.derivation.parts import Equation, Items, Part, Section, Sentence, Table, Words


def in_rows(section: Section) -> Section:
    """The section with every value as a row; Jacobians keep their orientation."""
    body: list[Part] = []
    turned = False
    for part in section.body:
        match part:
            case Equation():
                left = part.parts[0]
                turned = turned if left == BLANK else is_turned(left)
                parts = tuple(turn(x) if turned else as_it_is(x) for x in part.parts)
                body.append(replace(part, parts=parts, shape=shape(part, turned), why=words_in_rows(part.why)))
            case Sentence():
                body.append(Sentence(words_in_rows(part.parts)))
            case Table():
                body.append(Table(part.head, tuple(tuple(map(words_in_rows, row)) for row in part.rows)))
            case Items():
                body.append(part)
    return Section(section.title, tuple(body))


def shape(e: Equation, turned: bool) -> tuple[str, ...]:
    """The sizes in rows: a value is (B, H), a weight (D, H), a bias still (H)."""
    left = e.parts[0]
    if isinstance(left, Partial) and isinstance(left.bottom, Name) and left.bottom.time is None:
        return e.shape
    return e.shape[::-1] if len(e.shape) == 2 and turned else ("B", *e.shape) if len(e.shape) == 1 else e.shape


def words_in_rows(words: Words) -> Words:
    return tuple(x if isinstance(x, str) else turn(x) if is_turned(x) else as_it_is(x) for x in words)


def is_turned(x: Formula) -> bool:
    """Whether a formula is of a value, or of the gradient of a parameter, and not of a Jacobian or a number."""
    if isinstance(x, Relation):
        return is_turned(x.left)
    return kind(x) == "column" or (isinstance(x, Partial) and is_loss(x.top))


def is_loss(x: Formula) -> bool:
    return isinstance(x, Name) and x.letter == "L"


def kind(x: Formula) -> str:
    """What a formula of columns is: "column", "row", "matrix" or "number"."""
    match x:
        case Name():
            parameter = x.letter == "W" and x.time is None
            number = x.letter == "L" or (x.letter in ("γ", "μ", "θ", "K") and x.time is None)
            return "matrix" if parameter or x.letter == "J" or x == IDENTITY else "number" if number else "column"
        case Transpose():
            return {"column": "row", "row": "column"}.get(kind(x.base), "matrix")
        case Partial():
            return kind(x.bottom) if is_loss(x.top) else "matrix" if isinstance(x.top, Name) else "column"
        case Number() | Norm() | Apply("det" | "ρ"):
            return "number"
        case Matrix() | Apply("diag"):
            return "matrix"
        case Sum():
            kinds = [kind(term) for _, term in x.terms]
            return next((k for k in kinds if k != "number"), "number")
        case Product():
            kinds = [k for k in map(kind, x.factors) if k != "number"]
            if not x.matrix or len(kinds) < 2:
                return kinds[0] if kinds else "number"
            ends = kinds[0] == "row", kinds[-1] == "column"
            return {(True, True): "number", (True, False): "row", (False, True): "column"}.get(ends, "matrix")
        case Over():
            return kind(x.body)
        case Quotient():
            return next((k for k in map(kind, (x.top, x.bottom)) if k != "number"), "number")
        case Square() | Power():
            return kind(x.base)
        case Apply():
            return next((k for k in map(kind, x.arguments) if k != "number"), "number")
    return "number"


def turn(x: Formula) -> Formula:
    """The transposed value of x as a formula of rows: a row for a column."""
    if isinstance(x, Relation):
        return inside(x, turn)
    if x == BLANK or kind(x) == "number":
        return as_it_is(x)
    match x:
        case Name():
            return Transpose(x) if kind(x) == "matrix" and x != IDENTITY else x
        case Transpose():
            return Transpose(turn(x.base)) if kind(x.base) == "column" else as_it_is(x.base)
        case Partial() if is_loss(x.top):
            return Partial(x.top, turn(x.bottom))
        case Partial() if not isinstance(x.top, Name):
            return Partial(turn(x.top), turn(x.bottom))
        case Partial():
            return Transpose(as_it_is(x))
        case Product() if x.matrix:
            numbers = [as_it_is(f) for f in x.factors if kind(f) == "number"]
            others = [turn(f) for f in reversed(x.factors) if kind(f) != "number"]
            return Product((*numbers, *others), matrix=True)
        case Apply("diag"):
            return as_it_is(x)
    return inside(x, turn)


def as_it_is(x: Formula) -> Formula:
    """The value of x as a formula of rows."""
    if x == BLANK:
        return x
    match x:
        case Transpose():
            return turn(x.base) if kind(x.base) == "column" else transposed(as_it_is(x.base))
        case Partial() if is_loss(x.top):
            return Transpose(turn(x))
        case Partial():
            return Partial(turn(x.top), turn(x.bottom))
        case Apply("diag") | Norm(_, "max" | "min"):
            return inside(x, turn)
    if kind(x) == "column":
        return Transpose(turn(x))
    return inside(x, as_it_is)


def inside(x: Formula, each) -> Formula:
    """`each` applied to the parts of x."""
    match x:
        case Sum():
            return Sum(tuple((sign, each(term)) for sign, term in x.terms))
        case Product():
            return Product(tuple(map(each, x.factors)), x.matrix)
        case Quotient():
            return Quotient(each(x.top), each(x.bottom))
        case Square() | Power() | Norm() | Transpose():
            return replace(x, base=each(x.base))
        case Apply():
            return Apply(x.function, tuple(map(each, x.arguments)))
        case Over():
            return replace(x, body=each(x.body))
        case Relation():
            return Relation(each(x.left), each(x.right), x.sign)
        case Matrix():
            return Matrix(tuple(tuple(map(each, row)) for row in x.rows))
    return x
