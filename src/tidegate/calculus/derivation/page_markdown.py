"""A derivation as Markdown with formulas between dollars."""

from collections.abc import Sequence

from tidegate.calculus.derivation.language import LANGUAGES
from tidegate.calculus.derivation.latex import latex
from tidegate.calculus.derivation.page_latex import alignment, lines_of
from tidegate.calculus.derivation.parts import Items, Section, Sentence, Table, Words, grouped


def as_markdown(
    title: str, subtitle: str, sections: Sequence[Section], language: str, picture: str | None = None
) -> str:
    """The whole document. `picture` is the name of the file of the diagram."""
    lines = [f"# {title}", *(["", subtitle] if subtitle else [])]
    lines += ["", f"![{LANGUAGES[language].text('data flow')}]({picture})"] if picture else []
    for section in sections:
        lines += ["", f"## {section.title}"]
        for group in grouped(section.body):
            match group:
                case Sentence():
                    lines += ["", said(group.parts)]
                case Table():
                    lines += ["", row(group.head), "|" + " --- |" * len(group.head), *map(row, group.rows)]
                case Items():
                    lines += ["", *(f"* {said(item.parts)}" for item in group.items)]
                case _:
                    body = alignment(lines_of(group), "aligned", r" &\qquad& ")
                    lines += ["", "$$", body.replace(r"\footnotesize ", "").replace(r"\\*", r"\\"), "$$"]
    return "\n".join(lines) + "\n"


def row(cells: Sequence[Words]) -> str:
    return f"| {' | '.join(said(cell).replace('|', chr(92) + 'vert ') for cell in cells)} |"


def said(words: Words) -> str:
    return "".join(part if isinstance(part, str) else f"${latex(part)}$" for part in words)
