"""Results as HTML for a notebook: tables and sentences. Every text is escaped; colours follow the notebook's theme."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Bad:
    """The text of a cell of a table that says that something failed."""

    text: str

    def __str__(self) -> str:
        return self.text


SHORT = 16  # characters of a text that is not broken into lines

# Elements and classes of their own, because the style of an output applies to the whole page of a notebook.
STYLE = """<style>
.tg-out { max-width: 60rem; overflow-x: auto; line-height: 1.45; }
.tg-out p { margin: .4em 0; }
.tg-out table.tg-table { border-collapse: collapse; margin: .5em 0; font-variant-numeric: tabular-nums; }
.tg-out .tg-table caption { text-align: left; font-weight: bold; padding: .2em 0; }
.tg-out .tg-table th, .tg-out .tg-table td { text-align: left; padding: .18em .9em .18em 0; border: 0;
  border-bottom: 1px solid rgba(128, 128, 128, .35); vertical-align: top; }
.tg-out .tg-table .tg-number { text-align: right; }
.tg-out .tg-table .tg-number, .tg-out .tg-table .tg-short { white-space: nowrap; }
.tg-out .tg-bad { color: #d55e00; font-weight: bold; }
</style>"""


def output(*parts: str) -> str:
    """Parts that are HTML already, as one output."""
    return "\n".join((f'<div class="tg-out">{STYLE}', *parts, "</div>"))


def paragraph(text: str | Bad) -> str:
    bad = ' class="tg-bad"' if isinstance(text, Bad) else ""
    return f"<p{bad}>{escape(str(text))}</p>"


def table(head: Sequence[str], rows: Iterable[Sequence[str | float | Bad]], *, caption: str = "") -> str:
    """A table; a number is written with three significant digits, to the right of its column."""
    body = [[as_cell(value) for value in row] for row in rows]
    numbers = [bool(body) and all("tg-number" in row[k] for row in body) for k in range(len(head))]
    names = [
        f'<th scope="col" class="tg-number">{escape(name)}</th>' if number else f'<th scope="col">{escape(name)}</th>'
        for name, number in zip(head, numbers)
    ]
    lines = ['<table class="tg-table">']
    lines += [f"<caption>{escape(caption)}</caption>"] if caption else []
    lines += [f"<thead><tr>{''.join(names)}</tr></thead>"] if head else []
    lines += ["<tbody>", *(f"<tr>{''.join(row)}</tr>" for row in body), "</tbody></table>"]
    return "\n".join(lines)


def as_cell(value: str | float | Bad) -> str:
    if isinstance(value, Bad):
        return f'<td class="tg-bad">{escape(value.text)}</td>'
    if isinstance(value, str):
        return f'<td class="tg-short">{escape(value)}</td>' if len(value) <= SHORT else f"<td>{escape(value)}</td>"
    written = f"{value:,}" if isinstance(value, int) else f"{value:.3g}"
    return f'<td class="tg-number">{written}</td>'
