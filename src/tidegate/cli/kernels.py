"""`tidegate kernels`: compile kernels ahead."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tidegate.engines.cpu.ahead import Making


def kernels(
    cell: Annotated[
        list[str] | None, typer.Option(help="Of this cell only, by name or FILE.py:CLASS; repeatable.", metavar="CELL")
    ] = None,
    dtype: Annotated[str, typer.Option(help="float32, float64 or bfloat16.")] = "float32",
) -> None:
    """Compile the kernels of the built-in cells for this machine, so that no first step waits.

    Each is kept in the cache folder. Without this, a kernel is compiled when it is first used. `make install` calls it.
    For float32 and bfloat16 they include those with products of bfloat16 numbers, if the processor multiplies these.
    """
    from time import perf_counter

    from tidegate.calculus import trace
    from tidegate.cells import CELLS
    from tidegate.cells.find import find_cell
    from tidegate.engines.cpu import host_refuses
    from tidegate.errors import ArgumentError, EngineError

    if dtype not in ("float32", "float64", "bfloat16"):
        raise ArgumentError(f"`dtype` must be float32, float64 or bfloat16, got {dtype!r}.")
    if (reason := host_refuses()) is not None:
        raise EngineError(f"this machine has no kernels: {reason}. Layers run on torch's functions.")
    from tidegate.engines.cpu import ahead
    from tidegate.engines.cpu.kernels import here

    before, started = ahead.stored(), perf_counter()
    steps = [trace(found) for found in ([find_cell(name) for name in cell] if cell else CELLS.values())]
    pairs = [] if dtype == "float64" else ahead.with_pairs(steps, here(), None if dtype == "float32" else "bfloat")
    if dtype != "bfloat16" or not pairs:
        compile_all(ahead.every(steps, here(), "double" if dtype == "float64" else "float"))
    between, halfway = ahead.stored(), perf_counter()
    compile_all(pairs)
    after, end = ahead.stored(), perf_counter()
    text = (
        f"The kernels of {len(steps)} cell{'s' * (len(steps) > 1)} for {here().cpu} are ready: "
        f"{after.count - before.count} compiled now, in {end - started:.1f} s."
    )
    if pairs:
        text += (
            f" Of these, {after.count - between.count}, {(after.size - between.size) / 1e6:.1f} MB, multiply bfloat16 "
            f"numbers; they took {end - halfway:.1f} s."
        )
    typer.echo(f"{text} {after.folder} has {after.count}, {after.size / 1e6:.1f} MB.")


def compile_all(makings: "list[Making]") -> None:
    from rich.console import Console
    from rich.progress import track

    for making in track(makings, "Compiling kernels", console=Console(stderr=True), transient=True):
        making()
