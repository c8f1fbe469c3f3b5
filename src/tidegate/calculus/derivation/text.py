"""Formulas as plain text: * is element by element, a space is a matrix product, n[t] a value of step t."""

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

ACCENTS = {"": "", "tilde": "\N{COMBINING TILDE}", "hat": "\N{COMBINING CIRCUMFLEX ACCENT}"}
NORMS = {"max": ("max|", "|"), "min": ("min|", "|"), "2": ("||", "||"), "least": ("sigma_min(", ")"), "abs": ("|", "|")}


def text(x: Formula, around: int = 0) -> str:
    """The formula on one line; `around` is the precedence of the operation around it."""
    match x:
        case Name():
            time = f"[{x.time}]" if isinstance(x.time, str) else ""
            time = time if not isinstance(x.time, int) else f"[t{x.time:+d}]" if x.time else "[t]"
            return f"{'d' * x.d}{x.letter}{ACCENTS[x.accent]}{'_' * bool(x.sub)}{x.sub}{time}"
        case Number():
            return f"{x.value:g}"
        case Sum():
            first, *rest = x.terms
            out = ("-" if first[0] < 0 else "") + text(first[1], 2 if first[0] < 0 else 1)
            out += "".join((" + " if sign > 0 else " - ") + text(term, 2) for sign, term in rest)
            return f"({out})" if around > 1 or (around == 1 and first[0] < 0) else out
        case Product():
            out = (" " if x.matrix else " * ").join(text(f, 3) for f in x.factors)
            return f"({out})" if around > 2 else out
        case Quotient():
            out = f"{text(x.top, 2)} / {text(x.bottom, 3)}"
            return f"({out})" if around > 2 else out
        case Square():
            return f"{text(x.base, 4)}^2"
        case Power():
            return f"{text(x.base, 4)}^{x.exponent if x.exponent.isalnum() else f'({x.exponent})'}"
        case Apply():
            return f"{x.function}({', '.join(map(text, x.arguments))})"
        case Transpose():
            return f"{text(x.base, 4)}^T"
        case Norm():
            return text(x.base).join(NORMS[x.kind])
        case Over():
            out = f"{x.kind}_{{{x.index}={x.low}..{x.high}}} {text(x.body, 2)}"
            return f"({out})" if around > 2 else out
        case Partial():
            out = f"∂{text(x.top, 4)}/∂{text(x.bottom, 4)}"
            return f"({out})" if around > 3 else out
        case Relation():
            return f"{text(x.left)} {RELATIONS[x.sign][0]} {text(x.right)}"
        case Matrix():
            return "[" + "; ".join(", ".join(map(text, row)) for row in x.rows) + "]"
    raise TypeError(f"no text for {type(x).__name__}")
