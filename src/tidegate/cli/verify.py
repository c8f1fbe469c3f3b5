"""`tidegate verify`: a cell's gradients compared with every oracle, and a student's with the right ones."""

import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from tidegate.cli.numbers import integer_option

SIZES = "7,3,4,5"


def verify(
    cell: Annotated[
        str | None, typer.Argument(help="A cell by name, or FILE.py:CLASS; optional with --all.", metavar="[CELL]")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Use every option and size, for the cell or all cells.")] = False,
    engine: Annotated[str | None, typer.Option(help="This engine only [every engine].")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32 or float64, for the engines [both].")] = None,
    sizes: Annotated[str | None, typer.Option(help=f"T,B,D,H: steps, sequences, inputs, units [{SIZES}].")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(help='"reverse", "lengths", "resets", "indexed", "no bias", "no state", "projected"; repeatable.'),
    ] = None,
    seed: Annotated[int, integer_option("Seed of the random numbers.")] = 0,
    plant: Annotated[
        str | None,
        typer.Option(help='Plant an error in this term of the backward step, or in a "random" one.'),
    ] = None,
    show: Annotated[
        bool, typer.Option("--show", help="Print every number: NumPy, torch.nn and torch's autograd side by side.")
    ] = False,
    template: Annotated[
        Path | None, typer.Option(help="Only write a file of arrays, to be filled with your own numbers.")
    ] = None,
    arrays: Annotated[Path | None, typer.Option(help="Use the arrays in this .npz file, not random ones.")] = None,
    student: Annotated[
        str | None,
        typer.Option(help="FILE.py:FUNCTION: judge the gradients that it computes.", metavar="FILE:FUNCTION"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparisons as JSON.")] = False,
) -> None:
    """Compare a cell's gradients, element by element, with independent oracles.

    The derived BPTT in float64 is compared with torch's autograd, finite differences, the reference engine, real-time
    recurrent learning, torch.nn and every engine. With --student your own gradients are compared instead, and the
    likely mistake is named. Exit code 0 if all agree, 1 if any does not.
    """
    import torch

    from tidegate.cells import CELLS
    from tidegate.cells.find import find_cell
    from tidegate.errors import ArgumentError
    from tidegate.verification import judge, verify_all
    from tidegate.verification import verify as verify_one

    if cell is None and not every:
        raise ArgumentError("`verify` needs a cell, such as gru or FILE.py:CLASS, or --all.")
    alone = {"--plant": plant, "--show": show, "--template": template, "--arrays": arrays, "--student": student}
    check_together(alone, {"--all": every}, "is for one cell, without")
    check_together({"--sizes": sizes, "--option": option}, {"--arrays": arrays}, "is for random numbers, without")
    check_together({"--engine": engine, "--dtype": dtype, "--plant": plant, "--show": show, "--option": option},
                   {"--template": template, "--student": student}, "has no meaning with")  # fmt: skip
    check_together({"--template": template}, {"--arrays": arrays, "--student": student, "--json": as_json}, "excludes")
    precisions = {None: None, "float32": torch.float32, "float64": torch.float64}
    if dtype not in precisions:
        raise ArgumentError(f"`dtype` must be float32 or float64, got {dtype!r}.")
    if template is not None:
        typer.echo(write_template(str(cell), parse_sizes(sizes or SIZES), seed, template))
        return
    own = None if arrays is None else read(arrays, str(cell))
    if student is not None:
        found = judge(str(cell), student, sizes=parse_sizes(sizes or SIZES), seed=seed, arrays=own)
        typer.echo(json.dumps(found.as_dict(), indent=2) if as_json else str(found))
        if not found.passed:
            raise typer.Exit(1)
        return
    if every:
        cells = CELLS.values() if cell is None else [find_cell(cell)]
        found = verify_all(cells, engine=engine, dtype=precisions[dtype], seed=seed, report=show_progress())
    else:
        found = verify_one(
            str(cell), sizes=parse_sizes(sizes or SIZES), engine=engine, dtype=precisions[dtype], seed=seed,
            options=option or (), plant=plant, arrays=own,
        )  # fmt: skip
    numbers = found.comparisons[0].side_by_side() if show else None
    if as_json:
        typer.echo(json.dumps(found.as_dict() | ({"numbers": numbers.as_dict()} if numbers else {}), indent=2))
    else:
        typer.echo(found.summary() if every else str(found))
        if numbers:
            typer.echo(f"\n{numbers}")
    if not found.passed:
        raise typer.Exit(1)


def check_together(some: dict[str, Any], others: dict[str, Any], how: str) -> None:
    """Raise ArgumentError where an option of `some` is given together with one of `others`."""
    from tidegate.errors import ArgumentError

    for option, value in some.items():
        for other, given in others.items():
            if value and given:
                raise ArgumentError(f"{option} {how} {other}.")


def write_template(cell: str, sizes: tuple[int, int, int, int], seed: int, path: Path) -> str:
    """Write random arrays of a problem of the cell; returns a table of their names, shapes and meaning."""
    from tidegate.cells.find import find_cell
    from tidegate.verification.arrays import described, write_template
    from tidegate.verification.problem import random_problem

    problem = random_problem(find_cell(cell), sizes=sizes, seed=seed)
    meaning = described(problem.call.step)
    rows = [f"  {name:10} {array.shape!s:12} {meaning[name]}" for name, array in write_template(path, problem).items()]
    return "\n".join([f"{path}: random numbers, to be replaced by yours.", *rows])


def read(path: Path, cell: str) -> Any:
    from tidegate.calculus import trace
    from tidegate.cells.find import find_cell
    from tidegate.verification.arrays import read_arrays

    return read_arrays(path, trace(find_cell(cell)))


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
