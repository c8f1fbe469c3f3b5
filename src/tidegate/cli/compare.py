"""`tidegate compare`: cells on a task over seeds."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from tidegate.cli.numbers import integer_option, integers, number_option
from tidegate.cli.stopping import as_interrupt, exit_code


def compare(
    task: Annotated[
        str,
        typer.Option(
            help="A task, such as recall, adding, parity or anbn; text:FILE for a language model; FILE.py:CLASS.",
            metavar="NAME",
        ),
    ] = "recall",
    cells: Annotated[
        str, typer.Option(help="Cells between commas: gru, lstm, rnn, ..., FILE.py:CLASS.", metavar="NAME,NAME,...")
    ] = "gru,lstm,rnn",
    seeds: Annotated[
        str | None,
        typer.Option(help="How many seeds, or seeds between commas [10; 2 with --quick].", metavar="INTEGER"),
    ] = None,
    param: Annotated[
        list[str] | None, typer.Option(help="A parameter of the task; several times.", metavar="NAME=VALUE")
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            help="Values of a setting (lr, hidden, init, batch, ...) or of a parameter of the task; several times.",
            metavar="NAME=VALUE,...",
        ),
    ] = None,
    match: Annotated[str, typer.Option(help="What is equal for all cells: weights, units or seconds.")] = "weights",
    hidden: Annotated[int | None, integer_option("Units of the first cell [64].")] = None,
    layers: Annotated[int | None, integer_option("Recurrent layers [1].")] = None,
    init: Annotated[
        str | None, typer.Option(help="Initialisation, as for `tidegate train` [default].", metavar="NAME")
    ] = None,
    batch: Annotated[int | None, integer_option("Sequences of a step [64].")] = None,
    steps: Annotated[int | None, integer_option("Most training steps [2000].")] = None,
    optimizer: Annotated[str | None, typer.Option(help="adam or sgd [adam].")] = None,
    lr: Annotated[float | None, number_option("Learning rate [the best of --rates, for each cell].")] = None,
    rates: Annotated[
        str | None, typer.Option(help="Learning rates to choose from, between commas.", metavar="NUMBER,...")
    ] = None,
    clip: Annotated[float | None, number_option("Largest global norm of the gradient [1].")] = None,
    eval_every: Annotated[int | None, integer_option("Steps between evaluations [20 in a run].")] = None,
    workers: Annotated[int | None, integer_option("Jobs at once [the number of processors].")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Small networks and few steps: within a minute.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for compare.html, compare.json and finished jobs [comparisons/TASK].")
    ] = None,
) -> None:
    """Compare cells on a task: which is better, with which certainty.

    Trains every cell with every seed, prints a verdict for each pair, and writes compare.html, a page that works
    offline, and compare.json. Finished jobs are kept: after Ctrl-C the same command continues.
    """
    from rich.console import Console

    from tidegate.comparing.cells_on_task import compare as run
    from tidegate.comparing.request import Request
    from tidegate.report.comparison import LiveTable, print_comparison, write

    given: dict[str, Any] = {
        "hidden": hidden, "layers": layers, "init": init, "batch": batch, "steps": steps, "optimizer": optimizer,
        "lr": lr, "clip": clip, "eval_every": eval_every,
    }  # fmt: skip
    asked = Request.of(
        task, cells, seeds=None if seeds is None else integers(seeds), param=param or [], vary=vary or [],
        rates=rates, quick=quick, settings={name: value for name, value in given.items() if value is not None},
    )  # fmt: skip
    where = out or asked.folder()
    try:
        with as_interrupt():
            found = run(
                asked.task, asked.cells, seeds=asked.seeds, parameters=asked.parameters, vary=asked.vary, match=match,
                settings=asked.settings, rates=asked.rates, tuning_seeds=asked.tuning_seeds, out=where,
                workers=workers, progress=LiveTable(Console(stderr=True, highlight=False)),
            )  # fmt: skip
    except KeyboardInterrupt as stop:
        typer.echo(f"Stopped. The finished jobs are kept in {where / 'jobs'}; the same command continues.", err=True)
        raise typer.Exit(exit_code(stop)) from None
    found = replace(found, caution=asked.caution)
    console = Console(highlight=False)
    print_comparison(console, found)
    page, data = write(where, found)
    console.print(
        f"\n{page} is the page: open it in a browser. {data} has the same numbers.", markup=False, soft_wrap=True
    )
    if any(run.status == "failed" for arm in found.arms for run in arm.outcomes):
        raise typer.Exit(1)
