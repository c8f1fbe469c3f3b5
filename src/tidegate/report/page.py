"""One HTML file from sections, data and programs. It loads nothing from elsewhere.

Everything that comes from a run, such as its text and the names in a cell, is data: it reaches the HTML through
`html.escape` or as JSON in which `<` is written as an escape, and JavaScript shows it as text nodes. A content security
policy with the hashes of the page's own scripts lets a browser run no other script and load nothing.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any

from tidegate.report.figures import Plot, Role, Rows, plain


@dataclass(frozen=True)
class Layout:
    """A kind of page. template: its HTML.   scripts: its programs, in the order in which they are loaded.
    start: the function of `Tidegate` that begins it."""

    template: str
    scripts: Sequence[str]
    start: str


#: A text beside the sections, which is read by the model.
READER = Layout("template.html", (
    "base", "colour", "tokens", "trace", "axes", "shapes", "plot", "rows", "tables", "picker", "detail", "panel",
    "heatmap", "whatif", "compose", "experiment", "address", "notices", "modes", "reader", "reveal", "figures",
    "main",
), "start")  # fmt: skip
#: Sections alone.
RESULTS = Layout(
    "results.html", ("base", "colour", "axes", "shapes", "plot", "rows", "tables", "figures", "results"), "results"
)


@dataclass(frozen=True)
class Markup:
    """HTML that is already escaped."""

    html: str


@dataclass(frozen=True)
class Answer:
    """A sentence; where there are two runs, with the name and the role of the run that it describes."""

    said: str
    name: str = ""
    role: Role = "ink"


@dataclass(frozen=True)
class Section:
    """A question, its answer in sentences, figures, and `notes`: how it was measured and what the terms mean."""

    id: str
    title: str
    answers: Sequence[Answer]
    parts: Sequence[Plot | Rows | Markup] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Page:
    """header: the HTML of the top of the page. data: what the scripts read, as JSON values. programs: JavaScript
    expressions, one for each run; "null" where there is none."""

    title: str
    header: Markup
    sections: Sequence[Section]
    data: Mapping[str, Any]
    programs: Sequence[str] = ()
    footer: str = ""
    layout: Layout = READER


def asset(name: str) -> str:
    return (files("tidegate.report") / "assets" / name).read_text(encoding="utf-8")


def render(page: Page) -> str:
    """The page as the text of an HTML file."""
    figures = {part.id: part for section in page.sections for part in section.parts if not isinstance(part, Markup)}
    data = json_in_html({**page.data, "figures": figures})
    code = "".join(asset(f"{name}.js") for name in page.layout.scripts)
    code += f"Tidegate.{page.layout.start}([{', '.join(page.programs)}]);\n"
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'; "
        f"script-src '{sha256(code)}'"
    )
    return asset(page.layout.template) % {
        "policy": escape(policy),
        "title": escape(page.title),
        "style": asset("style.css"),
        "header": page.header.html,
        "sections": "\n".join(map(section_html, page.sections)),
        "footer": escape(page.footer),
        "data": data,
        "code": code,
    }


def sha256(code: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(code.encode()).digest()).decode("ascii")


def json_in_html(value: Any) -> str:
    """JSON that cannot end the script element around it."""
    text = json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def section_html(section: Section) -> str:
    lines = [f'<section id="{section.id}" aria-labelledby="{section.id}-title">']
    lines.append(f'<h2 id="{section.id}-title">{escape(section.title)}</h2>')
    for answer in section.answers:
        name = f'<b class="{answer.role}">{escape(answer.name)}:</b> ' if answer.name else ""
        lines.append(f"<p>{name}{escape(answer.said)}</p>")
    for part in section.parts:
        if isinstance(part, Markup):
            lines.append(part.html)
        else:
            lines.append(f'<figure data-figure="{part.id}"></figure>')
    if section.notes:
        notes = "".join(f"<p>{escape(note)}</p>" for note in section.notes)
        lines.append(f"<details><summary>What this means and how it was measured</summary>{notes}</details>")
    return "\n".join([*lines, "</section>"])
