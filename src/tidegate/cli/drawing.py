"""The options `--diagram` and `--until` of `tidegate derive`: a diagram alone, or beside a page in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tidegate.cli.writing import write_text
from tidegate.errors import ArgumentError

if TYPE_CHECKING:
    from tidegate.calculus.step import Step


def wanted(diagram: bool, until: str | None, out: Path | None, others: Sequence[str]) -> bool:
    """Whether the command writes a diagram alone. ArgumentError for options that contradict each other; `others` are
    the names of those that only a derivation has."""
    ending = out.suffix.lower() if out is not None else ".svg"
    if not diagram:
        if until is not None:
            raise ArgumentError("`until` chooses a part of a diagram: add --diagram, or leave it out.")
        if out is not None and ending == ".svg":
            raise ArgumentError(f"`out` {out}: add --diagram to draw a diagram, or choose .txt, .tex, .md or .html.")
        return False
    if ending in (".html", ".htm"):
        raise ArgumentError(f"`out` {out}: a page in HTML has its diagram without --diagram: leave it out.")
    if ending not in (".svg", ".md"):
        raise ArgumentError(f"`out` {out}: the ending must be .svg for a diagram, or .md for a page with a diagram.")
    if ending == ".md" and until is not None:
        raise ArgumentError(
            "`until` is for a diagram alone, and a page has the diagram of the whole cell: leave it out."
        )
    if ending == ".svg" and others:
        raise ArgumentError(f"`{others[0]}` is for a derivation, and an .svg has only the diagram: leave it out.")
    return ending == ".svg"


def write(cell: str | Step, until: str | None, out: Path | None, notation: str, language: str) -> None:
    """Write the diagram to the file, or to standard output."""
    from tidegate.calculus.diagram import diagram

    names = tuple(name.strip() for name in until.split(",")) if until is not None else ()
    svg = diagram(cell, until=names, notation=notation, language=language).svg
    if out is None:
        typer.echo(svg, nl=False)
    else:
        write_text(out, svg)
        typer.echo(f"{out}: a diagram of {len(svg):,} characters")


def beside(step: Step, page: Path, notation: str, language: str) -> str:
    """Write the diagram beside the page; returns the name of its file."""
    picture = page.with_suffix(".svg")
    write(step, None, picture, notation, language)
    return picture.name
