"""Docstrings as reStructuredText for the reference: they are plain text, with equations in lines of their own."""

import re
from typing import Any

from sphinx.application import Sphinx


def as_rst(docstring: str) -> str:
    """Paragraphs of equations or columns, and indented ones, become literal blocks; code in backticks becomes literal;
    everything else is escaped. Empty lines inside an indented block belong to it."""
    blocks: list[str] = []
    for text in re.split(r"\n{2,}", docstring.strip("\n")):
        if blocks and text.startswith(" ") and blocks[-1].startswith(" "):
            blocks[-1] += f"\n\n{text}"
        else:
            blocks.append(text)
    return "\n\n".join(map(paragraph, blocks))


def paragraph(text: str) -> str:
    lines = text.split("\n")
    if lines[0].startswith((" ", ">>>")):
        return literal(lines)
    if lines[0].startswith("* "):
        # Markdown and docstrings have no empty line between a sentence and the list after it; each item is one here.
        return "\n".join(("* " if line.startswith("* ") else "") + escaped(line.removeprefix("* ")) for line in lines)
    equations = sum(bool(re.match(r"[\w'`.()]{1,14} *= ", line)) for line in lines)
    columns = len(lines) > 1 and all(re.search(r"\S {2,}\S|^ ", line) for line in lines)
    if (equations and equations >= len(lines) - 1) or columns:
        return literal(lines)
    listed = next((k for k, line in enumerate(lines) if k and line.startswith("* ")), None)
    if listed:
        return "\n\n".join(("\n".join(map(escaped, lines[:listed])), paragraph("\n".join(lines[listed:]))))
    return "\n".join(map(escaped, lines))


def literal(lines: list[str]) -> str:
    return "\n".join(("::", "", *(f"    {line}".rstrip() for line in lines)))


def escaped(line: str) -> str:
    """A line of text; `::` at its end announces a block that is literal anyway."""
    line = re.sub(r"::$", ":", line)
    parts = line.split("`")
    if len(parts) % 2 == 0:  # a backtick without its partner: the code goes on in the next line
        return re.sub(r"([\\*_|`])", r"\\\1", line)
    return "".join(
        f"``{part}``" if k % 2 and part.strip() else re.sub(r"([\\*_|])", r"\\\1", part) for k, part in enumerate(parts)
    )


def process(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    lines[:] = [*as_rst("\n".join(lines)).split("\n"), ""]


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("autodoc-process-docstring", process)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
