"""A derivation as a document: sections of sentences and equations, in four formats."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from tidegate.calculus.derivation.formula import Formula
from tidegate.calculus.derivation.latex import latex
from tidegate.calculus.derivation.mathml import mathml
from tidegate.calculus.derivation.text import text
from tidegate.errors import ArgumentError

FORMATS = ("text", "latex", "markdown", "html")


@dataclass(frozen=True)
class Equation:
    """left = middle = ... = right, with a note such as its shape.

    With BLANK on the left it continues the line above, and `relation` is the sign between them.
    """

    parts: tuple[Formula, ...]
    note: str = ""
    relation: str = "="


@dataclass(frozen=True)
class Sentence:
    """Text and formulas in turn."""

    parts: tuple[str | Formula, ...]


@dataclass(frozen=True)
class Section:
    title: str
    body: tuple[Equation | Sentence, ...]


@dataclass(frozen=True)
class Document:
    title: str
    subtitle: str
    sections: tuple[Section, ...]

    def __str__(self) -> str:
        return as_text(self)

    def render(self, format: str = "text") -> str:
        """As "text", "latex" (a whole article), "markdown" with $-formulas, or "html" (one page, offline)."""
        if format not in FORMATS:
            raise ArgumentError(f"`format` must be one of {', '.join(FORMATS)}, got {format!r}.")
        return {"text": as_text, "latex": as_latex, "markdown": as_markdown, "html": as_html}[format](self)


def grouped(body: Sequence[Equation | Sentence]) -> list[list[Equation] | Sentence]:
    """Consecutive equations together in lists."""
    groups: list[list[Equation] | Sentence] = []
    for item in body:
        if isinstance(item, Sentence):
            groups.append(item)
        elif groups and isinstance(groups[-1], list):
            groups[-1].append(item)
        else:
            groups.append([item])
    return groups


def said(sentence: Sentence, write: Callable[[Formula], str], words: Callable[[str], str] = str) -> str:
    return "".join(words(part) if isinstance(part, str) else write(part) for part in sentence.parts)


# in text, in LaTeX, in MathML
RELATIONS = {"=": ("=", "=", "="), "<=": ("<=", r"\le", "≤"), "+": ("+", "+", "+"), "": ("", "", "")}


def as_text(document: Document) -> str:
    lines = [document.title, "=" * len(document.title), *([document.subtitle] if document.subtitle else [])]
    for section in document.sections:
        lines += ["", section.title, "-" * len(section.title)]
        for group in grouped(section.body):
            if isinstance(group, Sentence):
                lines += wrapped(said(group, text))
                continue
            left = min(max(len(text(e.parts[0])) for e in group), 24)
            for e in group:
                chain = f" {e.relation or ' '} ".join([f"{text(e.parts[0]):{left}}", *map(text, e.parts[1:])])
                lines.append(f"  {chain:<72}  {e.note}".rstrip())
    return "\n".join(lines) + "\n"


def wrapped(paragraph: str, width: int = 110) -> list[str]:
    lines, line = [], ""
    for word in paragraph.split(" "):
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line]


def as_latex(document: Document) -> str:
    lines = [
        r"\documentclass{article}",
        r"\usepackage{amsmath,amssymb}",
        r"\usepackage[margin=2.2cm]{geometry}",
        r"\allowdisplaybreaks",
        rf"\title{{{tex_words(document.title)}}}",
        *([rf"\author{{{tex_words(document.subtitle)}}}"] if document.subtitle else []),
        r"\date{}",
        r"\begin{document}",
        r"\maketitle",
    ]
    for section in document.sections:
        lines.append(rf"\section*{{{tex_words(section.title)}}}")
        for group in grouped(section.body):
            if isinstance(group, Sentence):
                lines += [said(group, lambda f: f"${latex(f)}$", tex_words), ""]
            else:
                lines += [aligned(group, "align*"), ""]
    return "\n".join([*lines, r"\end{document}"]) + "\n"


def aligned(group: list[Equation], environment: str) -> str:
    rows = []
    for e in group:
        sign = RELATIONS[e.relation][1]
        right = f" {sign} ".join(map(latex, e.parts[1:]))
        rows.append(rf"{latex(e.parts[0])} &{sign} {right}" + (rf" && \text{{{tex_words(e.note)}}}" if e.note else ""))
    return f"\\begin{{{environment}}}\n" + " \\\\\n".join(rows) + f"\n\\end{{{environment}}}"


def tex_words(words: str) -> str:
    for sign in "&%#_{}":
        words = words.replace(sign, "\\" + sign)
    return words.replace("×", r"$\times$").replace("±", r"$\pm$")


def as_markdown(document: Document) -> str:
    lines = [f"# {document.title}", *(["", document.subtitle] if document.subtitle else [])]
    for section in document.sections:
        lines += ["", f"## {section.title}"]
        for group in grouped(section.body):
            if isinstance(group, Sentence):
                lines += ["", said(group, lambda f: f"${latex(f)}$")]
            else:
                lines += ["", "$$", aligned(group, "aligned").replace(" && ", r" &\qquad& "), "$$"]
    return "\n".join(lines) + "\n"


STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fdfdfc; --quiet: #667; --line: #ddd; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e3; --paper: #16181b; --quiet: #99a; --line: #3a3d42; } }
body { color: var(--ink); background: var(--paper); max-width: 56rem; margin: 2rem auto; padding: 0 1rem;
  font: 1.05rem/1.55 Charter, "Bitstream Charter", Georgia, serif; }
h1 { margin-bottom: 0; } .subtitle { color: var(--quiet); margin-top: .3rem; }
h2 { margin-top: 2.2rem; border-bottom: 1px solid var(--line); padding-bottom: .2rem; font-size: 1.2rem; }
table { border-collapse: collapse; margin: .8rem 0 .8rem 1.2rem; display: block; overflow-x: auto; }
td { padding: .28rem .25rem; vertical-align: middle; white-space: nowrap; }
td.left { text-align: right; } td.note { color: var(--quiet); padding-left: 2rem; font-size: .9rem; }
math { font-size: 1.08rem; }
"""


def as_html(document: Document) -> str:
    head = [f"<h1>{escape(document.title)}</h1>"]
    if document.subtitle:
        head.append(f'<p class="subtitle">{escape(document.subtitle)}</p>')
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(document.title)}</title>\n<style>{STYLE}</style></head>\n<body>\n"
        + "\n".join([*head, sections_html(document.sections)])
        + "\n</body></html>\n"
    )


def sections_html(sections: Sequence[Section], *, heading: str = "h2") -> str:
    """The sections as HTML that can be part of any page."""

    def inline(f: Formula) -> str:
        return f"<math>{mathml(f)}</math>"

    body = []
    for section in sections:
        body.append(f"<{heading}>{escape(section.title)}</{heading}>")
        for group in grouped(section.body):
            if isinstance(group, Sentence):
                body.append(f"<p>{said(group, inline, escape)}</p>")
                continue
            body.append("<table>")
            for e in group:
                sign = f'<mo form="infix">{RELATIONS[e.relation][2]}</mo>'
                right = sign.join(mathml(part) for part in e.parts[1:])
                body.append(
                    f'<tr><td class="left"><math displaystyle="true">{mathml(e.parts[0])}</math></td>'
                    f'<td><math displaystyle="true"><mrow>{sign}{right}</mrow></math></td>'
                    f'<td class="note">{escape(e.note)}</td></tr>'
                )
            body.append("</table>")
    return "\n".join(body)
