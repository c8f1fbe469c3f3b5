"""A derivation as a LaTeX article, and equations as LaTeX."""

import re
from collections.abc import Sequence

from tidegate.calculus.derivation.formula import RELATIONS, Sum
from tidegate.calculus.derivation.latex import latex
from tidegate.calculus.derivation.latex_lines import Line, fitted, written
from tidegate.calculus.derivation.page_text import said as plain
from tidegate.calculus.derivation.page_text import width
from tidegate.calculus.derivation.parts import Equation, Items, Section, Sentence, Table, Words, grouped
from tidegate.calculus.derivation.text import text

PREAMBLE = {
    "en": [r"\documentclass{article}", r"\usepackage[utf8]{inputenc}", r"\usepackage[T1]{fontenc}"],
    "zh": ["% !TEX program = xelatex", r"\documentclass{ctexart} % needs xelatex and the package ctex"],
}


def as_latex(title: str, subtitle: str, sections: Sequence[Section], language: str) -> str:
    """A whole article; in Chinese for xelatex with ctex."""
    lines = [
        *PREAMBLE[language],
        r"\usepackage{amsmath,amssymb}",
        r"\usepackage{longtable}",
        r"\usepackage[margin=2.2cm]{geometry}",
        r"\allowdisplaybreaks",
        r"\sloppy",
        rf"\title{{{tex_words(title)}}}",
        r"\author{}",
        r"\date{}",
        r"\begin{document}",
        r"\maketitle",
        *([rf"\begin{{center}}{tex_words(subtitle)}\end{{center}}"] if subtitle else []),
    ]
    for section in sections:
        lines.append(rf"\section*{{{tex_words(section.title)}}}")
        for group in grouped(section.body):
            match group:
                case Sentence():
                    lines += [said(group.parts), ""]
                case Table():
                    lines += [table(group), ""]
                case Items():
                    lines += [r"\begin{itemize}", *(rf"\item {said(item.parts)}" for item in group.items)]
                    lines += [r"\end{itemize}", ""]
                case _:
                    lines += [alignment(fitted(lines_of(group)), "align*", " && "), ""]
    return "\n".join([*lines, r"\end{document}"]) + "\n"


#: Notes stand beside their equations if the longest equation and the note have at most so many characters.
BESIDE = 80
#: A sum is written on one line if its equation has at most so many characters as plain text.
LINE = 100


def lines_of(group: list[Equation]) -> list[Line]:
    """The lines of equations below each other, a long note below its equation."""
    lines: list[Line] = []
    widest = max(map(shown_width, group))
    for e in group:
        *whole, last = broken(e)
        lines += [Line(line, together=True) for line in whole]
        note = (*[tex_words(e.note())] * bool(e.note()), *[rf"\footnotesize {said(e.why)}"] * bool(e.why))
        if not note or widest + width(e.note() + plain(e.why)) * 0.8 <= BESIDE:
            lines.append(Line(last, note))
        else:
            lines += [Line(last, together=True), Line("", note, below=True)]
    return lines


def alignment(lines: Sequence[Line], environment: str, column: str) -> str:
    """The lines as an environment of amsmath; `column` stands before a note beside its formula."""
    body = "\n".join(written(line, column) for line in lines).removesuffix(r" \\")
    return f"\\begin{{{environment}}}\n{body}\n\\end{{{environment}}}"


def shown_width(e: Equation) -> int:
    """About how many characters the longest line of an equation has: a fraction as many as its denominator."""
    last = e.parts[-1]
    lines = [text(term) for _, term in last.terms] if isinstance(last, Sum) and len(broken(e)) > 1 else []
    longest = max(map(characters, lines)) if lines else sum(characters(text(part)) + 3 for part in e.parts[1:])
    return characters(text(e.parts[0])) + 3 + longest


def characters(line: str) -> int:
    return width(re.sub(r"∂[^/ ]*/∂|[\[\]_^{}*]", "", line))


def broken(e: Equation) -> list[str]:
    """The lines of an equation: a sum that is too long for one line has one for each term."""
    sign, last = RELATIONS[e.relation][1], e.parts[-1]
    before = f" {sign} ".join(map(latex, e.parts[1:-1]))
    start = f"{latex(e.parts[0])} &{sign} " + f"{before} {sign} " * bool(before)
    if not isinstance(last, Sum) or sum(width(text(part)) for part in e.parts) <= LINE:
        return [start + latex(last)]
    (first_sign, first), *rest = last.terms
    begin = start + latex(Sum(((first_sign, first),)))
    return [begin, *(rf"&\quad {'+' if s > 0 else '-'} {latex(term, 2)}" for s, term in rest)]


def table(group: Table) -> str:
    rows = [" & ".join(map(said, row)) + r" \\" for row in (group.head, *group.rows)]
    columns = "lp{6.6cm}" + "l" * (len(group.head) - 2)
    return "\n".join(
        [rf"\begin{{longtable}}{{@{{}}{columns}@{{}}}}", rows[0] + r" \hline", *rows[1:], r"\end{longtable}"]
    )


def said(words: Words) -> str:
    return "".join(tex_words(part) if isinstance(part, str) else f"${latex(part)}$" for part in words)


def tex_words(words: str) -> str:
    """Text with its special characters escaped, and what is between backticks as typed."""
    return "".join(
        rf"\texttt{{{escaped(part).replace('--', '-{}-')}}}" if i % 2 else escaped(part)
        for i, part in enumerate(words.split("`"))
    )


def escaped(words: str) -> str:
    for sign in "&%#_{}":
        words = words.replace(sign, "\\" + sign)
    for sign, command in (
        ("×", r"$\times$"),
        ("±", r"$\pm$"),
        ("≤", r"$\le$"),
        ("<", "$<$"),
        (">", "$>$"),
        ("–", "--"),
    ):
        words = words.replace(sign, command)
    return words
