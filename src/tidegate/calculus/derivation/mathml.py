"""Formulas as MathML Core, which browsers draw by themselves."""

import re
from html import escape

from tidegate.calculus import operations
from tidegate.calculus.derivation.formula import (
    RELATIONS,
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
)

ACCENTS = {"tilde": "~", "hat": "^"}


def function(name: str) -> str:
    operation = operations.printed_as(name)
    return identifier((operation and operation.mathml) or name)


def mathml(x: Formula, around: int = 0) -> str:
    """The formula, without the <math> element; `around` is the precedence of the operation around it."""
    match x:
        case Name():
            time = "" if x.time is None else time_of(x.time)
            sub = identifier(x.sub) if x.sub else ""
            below = sub + (operator(",") if sub and time else "") + time
            name = identifier(x.letter)
            if x.accent:
                name = f'<mover accent="true">{name}<mo stretchy="false">{ACCENTS[x.accent]}</mo></mover>'
            base = row('<mi mathvariant="normal">d</mi>' + name) if x.d else name
            return f"<msub>{base}{row(below)}</msub>" if below else base
        case Number():
            return f"<mn>{x.value:g}</mn>"
        case Sum():
            first, *rest = x.terms
            out = (operator("−") if first[0] < 0 else "") + mathml(first[1], 2 if first[0] < 0 else 1)
            out += "".join(operator("+" if sign > 0 else "−") + mathml(term, 2) for sign, term in rest)
            return bracketed(out, around > 1 or (around == 1 and first[0] < 0))
        case Product():
            sign = '<mspace width="0.17em"></mspace>' if x.matrix else operator("⊙")
            return bracketed(sign.join(mathml(f, 3) for f in x.factors), around > 2)
        case Quotient():
            return f"<mfrac>{row(mathml(x.top))}{row(mathml(x.bottom))}</mfrac>"
        case Square(Name() as base):
            return f"<msup>{row(mathml(base))}<mn>2</mn></msup>"
        case Square(Apply("tanh" | "sigmoid" as name, arguments)):
            head = f"<msup>{function(name)}<mn>2</mn></msup>"
            return row(head + bracketed(operator(",").join(map(mathml, arguments)), True))
        case Square():
            return f"<msup>{bracketed(mathml(x.base), True)}<mn>2</mn></msup>"
        case Power():
            alone = isinstance(x.base, Norm) or (isinstance(x.base, Name) and x.base.time is None)
            base = bracketed(mathml(x.base), not alone)
            return f"<msup>{base}{row(written(x.exponent))}</msup>"
        case Apply():
            operation, inside = operations.printed_as(x.function), operator(",").join(map(mathml, x.arguments))
            if operation and operation.mathml_around:
                return row(inside.join(operation.mathml_around))
            return row(function(x.function) + bracketed(inside, True))
        case Transpose():
            return f'<msup>{row(mathml(x.base, 4))}<mi mathvariant="normal">⊤</mi></msup>'
        case Norm():
            return row(mathml(x.base).join(NORMS[x.kind]))
        case Over():
            sign = f'<mo largeop="true" movablelimits="false">{"∑" if x.kind == "sum" else "∏"}</mo>'
            low = row(identifier(x.index) + operator("=") + written(x.low))
            high = row(written(x.high))
            return bracketed(f"<munderover>{sign}{low}{high}</munderover>{mathml(x.body, 2)}", around > 2)
        case Partial():
            top, bottom = (row(operator("∂") + mathml(part, 4)) for part in (x.top, x.bottom))
            return bracketed(f"<mfrac>{top}{bottom}</mfrac>", around > 3)
        case Relation():
            return row(mathml(x.left) + operator(RELATIONS[x.sign][2]) + mathml(x.right))
        case Matrix():
            cells = ("".join(f"<mtd>{mathml(cell)}</mtd>" for cell in cells) for cells in x.rows)
            table = "<mtable>" + "".join(f"<mtr>{each}</mtr>" for each in cells) + "</mtable>"
            return row(operator("[") + table + operator("]"))
    raise TypeError(f"no MathML for {type(x).__name__}")


BAR, BARS = '<mo stretchy="false">|</mo>', '<mo stretchy="false">‖</mo>'
LEAST = "<msub><mi>σ</mi><mi>min</mi></msub><mo>(</mo>"
NORMS = {
    "max": ("<mi>max</mi>" + BAR, BAR),
    "min": ("<mi>min</mi>" + BAR, BAR),
    "2": (BARS, BARS),
    "least": (LEAST, "<mo>)</mo>"),
    "abs": (BAR, BAR),
}


def time_of(offset: int | str) -> str:
    if isinstance(offset, str):
        return written(offset)
    shift = operator("+" if offset > 0 else "−") + f"<mn>{abs(offset)}</mn>" if offset else ""
    return identifier("t") + shift


def written(text: str) -> str:
    """A time or a limit such as "t-k", "K-1" or "1/(2H)"."""
    found = []
    for part in re.findall(r"\d+|[A-Za-z]+|.", text):
        if part.isdigit():
            found.append(f"<mn>{part}</mn>")
        else:
            found.append(identifier(part) if part.isalpha() else operator("−" if part == "-" else part))
    return "".join(found)


def identifier(name: str) -> str:
    return f"<mi>{escape(name)}</mi>"


def operator(sign: str) -> str:
    return f"<mo>{escape(sign)}</mo>"


def row(inside: str) -> str:
    return f"<mrow>{inside}</mrow>"


def bracketed(inside: str, wanted: bool) -> str:
    return row(operator("(") + inside + operator(")")) if wanted else row(inside)
