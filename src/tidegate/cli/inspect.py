"""`tidegate inspect`: what a trained network remembers, in the terminal and as an HTML page."""

from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.numbers import bounds, integer_option, integers


def inspect(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")],
    other: Annotated[
        str | None,
        typer.Argument(metavar="RUN2|TEXT", help="Another run to compare, or a text [the run's held-out text]."),
    ] = None,
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="The text, after two runs.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Smaller samples, in a few seconds.")] = False,
    span: Annotated[
        str | None, typer.Option(metavar="START:STOP", help="Tokens of the text for the page [the first 600].")
    ] = None,
    layer: Annotated[int | None, integer_option("Layer that the page shows first [the last].")] = None,
    units: Annotated[
        str | None,
        typer.Option(metavar="N,N,...", help="Units that the page lists first [those that track a feature]."),
    ] = None,
    checkpoint: Annotated[str, typer.Option(help="best or last.")] = "best",
    encoding: Annotated[str | None, typer.Option(help="Encoding of the other text [the run's].")] = None,
    seed: Annotated[int, integer_option("Seed of the samples.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder for inspect.html and inspect.json [that of the run].")
    ] = None,
) -> None:
    """Show what a trained model remembers, for how long, in which units, and where gradients vanish.

    Prints the findings and writes inspect.html, a page that works offline and runs the model, and inspect.json with the
    same numbers. Two runs are shown side by side on the same text.
    """
    from rich.console import Console

    from tidegate.errors import ArgumentError
    from tidegate.insight.effort import FULL, QUICK
    from tidegate.insight.inspection import inspect_all
    from tidegate.report.inspection import Choice, check, write
    from tidegate.report.terminal import print_inspection
    from tidegate.text import ConsoleProgress

    shown = None if span is None else bounds(span)
    choice = Choice(layer, () if units is None else integers(units))
    runs = [run]
    if other is not None and Path(other).is_dir():
        runs.append(Path(other))
    elif text is not None:
        raise ArgumentError(f"if there are three arguments, the second must be the folder of a run, got {other!r}.")
    else:
        text = other
    where = out or run
    check(where, runs, choice, checkpoint)
    try:
        found = inspect_all(
            runs, text, checkpoint=checkpoint, effort=QUICK if quick else FULL, shown=shown, encoding=encoding,
            seed=seed, progress=ConsoleProgress(Console(stderr=True)),
        )  # fmt: skip
    except KeyboardInterrupt:
        typer.echo("Stopped. Nothing was written.", err=True)
        raise typer.Exit(130) from None
    page, data = write(where, found, runs, choice, checkpoint=checkpoint)  # before a closed pipe can end the output
    console = Console(highlight=False, soft_wrap=True)
    for one in found:
        print_inspection(console, one)
    console.print(f"\nOpen {page} in a browser. {data} has the same numbers.", markup=False)
