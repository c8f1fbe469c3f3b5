"""A derivation as one HTML page that loads nothing, and its sections as a part of other pages."""

from collections.abc import Sequence
from html import escape

from tidegate.calculus.derivation.formula import RELATIONS, Formula
from tidegate.calculus.derivation.mathml import mathml
from tidegate.calculus.derivation.parts import Equation, Items, Section, Sentence, Table, Words, grouped

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fdfdfc; --quiet: #667; --line: #ddd; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e3; --paper: #16181b; --quiet: #99a; --line: #3a3d42; } }
body { color: var(--ink); background: var(--paper); max-width: 56rem; margin: 2rem auto; padding: 0 1rem;
  font: 1.05rem/1.55 Charter, "Bitstream Charter", Georgia, serif; }
:root:lang(zh) body { font-family: Charter, Georgia, "Songti SC", "Noto Serif CJK SC", "Noto Serif SC", SimSun, serif; }
h1 { margin-bottom: 0; } .subtitle { color: var(--quiet); margin-top: .3rem; }
h2 { margin-top: 2.2rem; border-bottom: 1px solid var(--line); padding-bottom: .2rem; font-size: 1.2rem; }
table { border-collapse: collapse; margin: .8rem 0 .8rem 1.2rem; display: block; overflow-x: auto; }
table.letters { display: table; }
table.letters td, table.letters th { padding: .2rem .8rem .2rem 0; white-space: normal; text-align: left;
  border-bottom: 1px solid var(--line); }
td { padding: .28rem .25rem; vertical-align: middle; white-space: nowrap; }
td.left { text-align: right; }
td.note { color: var(--quiet); padding-left: 2rem; font-size: .9rem; white-space: normal; min-width: 15rem; }
figure { margin: 1.5rem 0; }
li { margin: .2rem 0; }
math { font-size: 1.08rem; }
"""


def as_html(title: str, subtitle: str, sections: Sequence[Section], language: str, picture: str = "") -> str:
    """The page; `picture` is the diagram, as HTML."""
    head = [f"<h1>{escape(title)}</h1>"]
    if subtitle:
        head.append(f'<p class="subtitle">{escape(subtitle)}</p>')
    return (
        f'<!DOCTYPE html>\n<html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style></head>\n<body>\n"
        + "\n".join([*head, *filter(None, [picture]), sections_html(sections)])
        + "\n</body></html>\n"
    )


def sections_html(sections: Sequence[Section], *, heading: str = "h2") -> str:
    """The sections as HTML that can be part of any page."""
    body = []
    for section in sections:
        body.append(f"<{heading}>{escape(section.title)}</{heading}>")
        for group in grouped(section.body):
            match group:
                case Sentence():
                    body.append(f"<p>{said(group.parts)}</p>")
                case Table():
                    body += table(group)
                case Items():
                    body += ["<ul>", *(f"<li>{said(item.parts)}</li>" for item in group.items), "</ul>"]
                case _:
                    body += ["<table>", *map(equation, group), "</table>"]
    return "\n".join(body)


def equation(e: Equation) -> str:
    sign = f'<mo form="infix">{escape(RELATIONS[e.relation][2])}</mo>'
    right = sign.join(mathml(part) for part in e.parts[1:])
    note = "; ".join(filter(None, (escape(e.note()), said(e.why))))
    return (
        f'<tr><td class="left"><math displaystyle="true">{mathml(e.parts[0])}</math></td>'
        f'<td><math displaystyle="true"><mrow>{sign}{right}</mrow></math></td>'
        f'<td class="note">{note}</td></tr>'
    )


def table(group: Table) -> list[str]:
    head = "".join(f"<th>{said(cell)}</th>" for cell in group.head)
    rows = ("".join(f"<td>{said(cell)}</td>" for cell in row) for row in group.rows)
    return ['<table class="letters">', f"<tr>{head}</tr>", *(f"<tr>{row}</tr>" for row in rows), "</table>"]


def said(words: Words) -> str:
    return "".join(typed(escape(part)) if isinstance(part, str) else inline(part) for part in words)


def typed(words: str) -> str:
    """What is between backticks as code."""
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(words.split("`")))


def inline(f: Formula) -> str:
    return f"<math>{mathml(f)}</math>"
