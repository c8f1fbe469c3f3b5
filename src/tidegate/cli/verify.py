"""`tidegate verify`: a cell's gradients compared with every oracle."""

import itertools
import json
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from tidegate.cli.numbers import integer_option


def verify(
    cell: Annotated[
        str | None, typer.Argument(help="A cell by name, or FILE.py:CLASS; optional with --all.", metavar="[CELL]")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Use every option and size, for the cell or all cells.")] = False,
    engine: Annotated[str | None, typer.Option(help="This engine only [every engine].")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32 or float64, for the engines [both].")] = None,
    sizes: Annotated[str, typer.Option(help="T,B,D,H: steps, sequences, inputs, units.")] = "7,3,4,5",
    option: Annotated[
        list[str] | None,
        typer.Option(help='"reverse", "lengths", "resets", "indexed", "no bias", "no state", "projected"; repeatable.'),
    ] = None,
    seed: Annotated[int, integer_option("Seed of the random numbers.")] = 0,
    plant: Annotated[
        str | None,
        typer.Option(help='Plant an error in this term of the backward step, or in a "random" one.'),
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Print the arrays side by side.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparisons as JSON.")] = False,
) -> None:
    """Compare a cell's gradients, element by element, with independent oracles.

    The derived BPTT in float64 is compared with torch's autograd, finite differences, the reference engine, real-time
    recurrent learning, torch.nn and every engine. Exit code 0 if all agree, 1 if any does not.
    """
    import torch

    from tidegate.cells import CELLS
    from tidegate.cells.find import find_cell
    from tidegate.errors import ArgumentError
    from tidegate.verification import verify as verify_one
    from tidegate.verification import verify_all

    if cell is None and not every:
        raise ArgumentError("`verify` needs a cell, such as gru or FILE.py:CLASS, or --all.")
    if every and (plant or show):
        raise ArgumentError(f"--{'plant' if plant else 'show'} is for one cell, without --all.")
    precisions = {None: None, "float32": torch.float32, "float64": torch.float64}
    if dtype not in precisions:
        raise ArgumentError(f"`dtype` must be float32 or float64, got {dtype!r}.")
    if every:
        cells = CELLS.values() if cell is None else [find_cell(cell)]
        found = verify_all(cells, engine=engine, dtype=precisions[dtype], seed=seed, report=show_progress())
    else:
        found = verify_one(
            str(cell), sizes=parse_sizes(sizes), engine=engine, dtype=precisions[dtype], seed=seed,
            options=option or (), plant=plant,
        )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2))
    else:
        typer.echo(found.summary() if every else str(found))
        if show:
            typer.echo("\n".join(found.comparisons[0].side_by_side()))
    if not found.passed:
        raise typer.Exit(1)


def show_progress() -> Callable[[object], None]:
    """A function that counts the problems on one line of a terminal; without a terminal it prints nothing."""
    counter = itertools.count(1)

    def report(comparison: object) -> None:
        if sys.stderr.isatty():
            typer.echo(f"\r{next(counter)} problems", nl=False, err=True)

    return report


def parse_sizes(text: str) -> tuple[int, int, int, int]:
    from tidegate.errors import ArgumentError

    parts = text.split(",")
    if len(parts) != 4 or not all(part.strip().isdecimal() for part in parts):
        raise ArgumentError(f"`sizes` must be T,B,D,H such as 7,3,4,5, got {text!r}.")
    T, B, D, H = map(int, parts)
    return T, B, D, H
