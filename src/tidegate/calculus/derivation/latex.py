"""Formulas as LaTeX, of AMS mathematics only; KaTeX and MathJax read it too."""

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

LETTERS = {
    "ℒ": r"\mathcal{L}",
    "δ": r"\delta",
    "γ": r"\gamma",
    "θ": r"\theta",
    "μ": r"\mu",
    "ρ": r"\rho",
    "1": r"\mathbf{1}",
    "±1": r"\pm 1",
}
NORMS = {
    "max": (r"\max\left|", r"\right|"),
    "min": (r"\min\left|", r"\right|"),
    "2": (r"\left\|", r"\right\|"),
    "least": (r"\sigma_{\min}\left(", r"\right)"),
    "abs": (r"\left|", r"\right|"),
}


def letter(name: str) -> str:
    return LETTERS.get(name, name if len(name) == 1 else rf"\mathit{{{name.replace('_', chr(92) + '_')}}}")


def function(name: str) -> str:
    """The name of a function, one of the calculus or another such as "diag"."""
    if name in LETTERS:
        return LETTERS[name]
    operation = operations.printed_as(name)
    return (operation and operation.latex) or rf"\operatorname{{{name}}}"


def latex(x: Formula, around: int = 0) -> str:
    """The formula, without dollars; `around` is the precedence of the operation around it."""
    match x:
        case Name(""):
            return ""
        case Name():
            time = x.time if isinstance(x.time, str) else ""
            time = time if not isinstance(x.time, int) else f"t{x.time:+d}" if x.time else "t"
            below = ",".join(filter(None, (letter(x.sub) if x.sub else "", time)))
            base = rf"\{x.accent}{{{letter(x.letter)}}}" if x.accent else letter(x.letter)
            return (r"\mathrm{d}" if x.d else "") + base + (f"_{{{below}}}" if below else "")
        case Number():
            return f"{x.value:g}"
        case Sum():
            first, *rest = x.terms
            out = ("-" if first[0] < 0 else "") + latex(first[1], 2 if first[0] < 0 else 1)
            out += "".join((" + " if sign > 0 else " - ") + latex(term, 2) for sign, term in rest)
            return bracketed(out, around > 1 or (around == 1 and first[0] < 0))
        case Product():
            return bracketed((r"\, " if x.matrix else r" \odot ").join(latex(f, 3) for f in x.factors), around > 2)
        case Quotient():
            return rf"\frac{{{latex(x.top)}}}{{{latex(x.bottom)}}}"
        case Square(Name() as base):
            return f"{latex(base)}^2"
        case Square(Apply("tanh" | "sigmoid" as name, arguments)):
            return rf"{function(name)}^2{bracketed(', '.join(map(latex, arguments)), True)}"
        case Square():
            return f"{bracketed(latex(x.base), True)}^2"
        case Power():
            alone = isinstance(x.base, Norm) or (isinstance(x.base, Name) and x.base.time is None)
            return f"{bracketed(latex(x.base), not alone)}^{{{x.exponent}}}"
        case Apply():
            operation, inside = operations.printed_as(x.function), ", ".join(map(latex, x.arguments))
            if operation and operation.latex_around:
                return inside.join(operation.latex_around)
            return function(x.function) + bracketed(inside, True)
        case Transpose():
            return f"{latex(x.base, 4)}^{{\\top}}"
        case Norm():
            return latex(x.base).join(NORMS[x.kind])
        case Over():
            return bracketed(rf"\{x.kind}_{{{x.index}={x.low}}}^{{{x.high}}} {latex(x.body, 2)}", around > 2)
        case Partial():
            fraction = rf"\frac{{\partial {latex(x.top, 4)}}}{{\partial {latex(x.bottom, 4)}}}"
            return bracketed(fraction, around > 3)
        case Relation():
            return f"{latex(x.left)} {RELATIONS[x.sign][1]} {latex(x.right)}"
        case Matrix():
            rows = r" \\ ".join(" & ".join(map(latex, row)) for row in x.rows)
            return rf"\begin{{bmatrix}} {rows} \end{{bmatrix}}"
    raise TypeError(f"no LaTeX for {type(x).__name__}")


def bracketed(inside: str, wanted: bool) -> str:
    return rf"\left({inside}\right)" if wanted else inside
