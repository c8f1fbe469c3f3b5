"""`tidegate derive`: derive a cell's gradients and print the equations."""

from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli import drawing
from tidegate.cli.numbers import integer_option
from tidegate.cli.writing import write_text

ENDINGS = {".txt": "text", ".tex": "latex", ".md": "markdown", ".html": "html", ".htm": "html"}


def derive(
    cell: Annotated[str, typer.Argument(help="A cell by name, or FILE.py:CLASS.")],
    format: Annotated[
        str | None, typer.Option(help="text, latex, markdown or html [by the ending of --out, or text].")
    ] = None,
    steps: Annotated[str, typer.Option(help="full: every step with its reason; brief: the results.")] = "full",
    notation: Annotated[str, typer.Option(help="The letters: tidegate, nndl or d2l.")] = "tidegate",
    convention: Annotated[
        str | None,
        typer.Option(help="keep: an update gate of 1 keeps the state; write: it replaces it [as the cell has it]."),
    ] = None,
    language: Annotated[str, typer.Option(help="en or zh.")] = "en",
    jacobian: Annotated[
        bool, typer.Option("--jacobian", help="Only the step, its Jacobian, and the bounds over many steps.")
    ] = False,
    unroll: Annotated[int, integer_option("Also write out the product of this many step Jacobians, 1 to 9.")] = 0,
    diagram: Annotated[
        bool,
        typer.Option("--diagram", help="Draw the data flow as SVG instead; with an --out of .md, beside the page."),
    ] = False,
    until: Annotated[
        str | None, typer.Option(help="Draw only these gates and states and what they need, such as r,z [all].")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write to this file: .txt, .tex, .md, .html or .svg [standard output].")
    ] = None,
) -> None:
    """Derive backpropagation through time for a cell: loss, error terms, gradients, Jacobian, bounds, special cases.

    Everything printed comes from the cell's equations; `tidegate verify` checks the same gradients numerically. A .tex
    file in Chinese is compiled with xelatex and the package ctex.
    """
    from tidegate.calculus.derivation import derive as derive_cell

    others = {
        "format": format is not None, "steps": steps != "full", "convention": convention is not None,
        "jacobian": jacobian, "unroll": unroll != 0,
    }  # fmt: skip
    if drawing.wanted(diagram, until, out, [name for name, given in others.items() if given]):
        return drawing.write(cell, until, out, notation, language)
    chosen = choose_format(format, out)
    document = derive_cell(
        cell,
        jacobian_only=jacobian,
        unroll=unroll,
        steps=steps,
        notation=notation,
        convention=convention,
        language=language,
    )
    picture = drawing.beside(document.step, out, notation, language) if diagram and out is not None else None
    written = document.render(chosen, picture=picture)
    if out is None:
        typer.echo(written, nl=False)
    else:
        write_text(out, written)
        typer.echo(f"{out}: {len(written):,} characters of {chosen}")


def choose_format(format: str | None, out: Path | None) -> str:
    """The format of the option or of the file's ending; ArgumentError where they differ or the ending is unknown."""
    from tidegate.errors import ArgumentError

    ending = out.suffix.lower() if out is not None else ""
    by_ending = ENDINGS.get(ending)
    if format is None:
        if ending and by_ending is None:
            raise ArgumentError(
                f"`out` {out}: the ending must be one of {', '.join(ENDINGS)}, or `format` must name the format."
            )
        return by_ending or "text"
    if by_ending not in (None, format) and format in ENDINGS.values():
        raise ArgumentError(f"`format` is {format} and the ending of `out` {out} means {by_ending}: leave one out.")
    return format
