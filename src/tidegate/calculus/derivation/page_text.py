"""A derivation as plain text."""

import unicodedata
from collections.abc import Sequence

from tidegate.calculus.derivation.formula import RELATIONS
from tidegate.calculus.derivation.parts import Equation, Items, Section, Sentence, Table, Words, grouped
from tidegate.calculus.derivation.text import text

WIDTH = 110


def as_text(title: str, subtitle: str, sections: Sequence[Section], language: str) -> str:
    """The whole document; `language` changes nothing here."""
    lines = [title, "=" * width(title), *([subtitle] if subtitle else [])]
    for section in sections:
        lines += ["", section.title, "-" * width(section.title)]
        for group in grouped(section.body):
            match group:
                case Sentence():
                    lines += wrapped(said(group.parts))
                case Table():
                    lines += table(group)
                case Items():
                    for item in group.items:
                        first, *rest = wrapped(said(item.parts), WIDTH - 2)
                        lines += [f"* {first}", *(f"  {line}" for line in rest)]
                case _:
                    lines += equations(group)
    return "\n".join(lines) + "\n"


def equations(group: list[Equation]) -> list[str]:
    lines = []
    left = min(max(width(text(e.parts[0])) for e in group), 24)
    for e in group:
        sign = RELATIONS[e.relation][0] or " "
        chain = f" {sign} ".join([padded(text(e.parts[0]), left), *map(text, e.parts[1:])])
        notes = "  ".join(filter(None, (e.note(), said(e.why))))
        if notes and width(chain) > 60 and width(chain) + width(notes) > WIDTH + 10:
            lines += [f"  {chain}", *(f"      {line}" for line in wrapped(notes, WIDTH - 6))]
        else:
            lines.append(f"  {padded(chain, 60)}  {notes}".rstrip())
    return lines


def table(group: Table) -> list[str]:
    cells = [[said(cell) for cell in row] for row in (group.head, *group.rows)]
    widths = [max(width(row[i]) for row in cells) for i in range(len(group.head))]
    rows = ["  " + "  ".join(padded(cell, w) for cell, w in zip(row, widths)).rstrip() for row in cells]
    return [rows[0], "  " + "  ".join("-" * w for w in widths), *rows[1:]]


def said(words: Words) -> str:
    return "".join(part if isinstance(part, str) else text(part) for part in words)


def width(line: str) -> int:
    """The columns of a terminal: 2 for an East Asian character, none for an accent."""
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in line
    )


def padded(line: str, columns: int) -> str:
    return line + " " * (columns - width(line))


def wrapped(paragraph: str, columns: int = WIDTH) -> list[str]:
    """Lines of at most so many columns, broken at spaces or after East Asian characters."""
    lines, line = [], ""
    for piece in pieces(paragraph):
        if line.strip() and width(line.rstrip()) + width(piece.rstrip()) > columns:
            lines.append(line.rstrip())
            line = piece
        else:
            line += piece
    return [*lines, line.rstrip()]


def pieces(paragraph: str) -> list[str]:
    """Words with the space after them; an East Asian character with the punctuation after it is a word."""
    found = [""]
    for sign in paragraph:
        wide = unicodedata.east_asian_width(sign) in "WF"
        closing = wide and unicodedata.category(sign) in ("Po", "Pe", "Pf")
        after = found[-1][-1:]
        if (
            after == " "
            or (wide and not closing)
            or (after and unicodedata.east_asian_width(after) in "WF" and not closing)
        ):
            found.append("")
        found[-1] += sign
    return found
