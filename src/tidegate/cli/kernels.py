"""`tidegate kernels`: compile kernels ahead."""

from typing import Annotated

import typer


def kernels(
    cell: Annotated[
        list[str] | None, typer.Option(help="Of this cell only, by name or FILE.py:CLASS; repeatable.", metavar="CELL")
    ] = None,
    dtype: Annotated[str, typer.Option(help="float32 or float64.")] = "float32",
) -> None:
    """Compile the kernels of the built-in cells for this machine, so that no first step waits.

    Each is kept in the cache folder. Without this, a kernel is compiled when it is first used. `make install` calls it.
    """
    from time import perf_counter

    from rich.console import Console
    from rich.progress import track

    from tidegate.calculus import trace
    from tidegate.cells import CELLS
    from tidegate.cells.find import find_cell
    from tidegate.engines.cpu import host_refuses
    from tidegate.errors import ArgumentError, EngineError

    if dtype not in ("float32", "float64"):
        raise ArgumentError(f"`dtype` must be float32 or float64, got {dtype!r}.")
    if (reason := host_refuses()) is not None:
        raise EngineError(f"this machine has no kernels: {reason}. Layers run on torch's functions.")
    from tidegate.engines.cpu import ahead
    from tidegate.engines.cpu.kernels import here

    before = ahead.stored()
    steps = [trace(found) for found in ([find_cell(name) for name in cell] if cell else CELLS.values())]
    makings = ahead.every(steps, here(), "float" if dtype == "float32" else "double")
    started = perf_counter()
    for making in track(makings, "Compiling kernels", console=Console(stderr=True), transient=True):
        making()
    after = ahead.stored()
    made = after.count - before.count
    typer.echo(
        f"The kernels of {len(steps)} cell{'s' * (len(steps) > 1)} for {here().cpu} are ready: {made} compiled now, in "
        f"{perf_counter() - started:.1f} s. {after.folder} has {after.count}, {after.size / 1e6:.1f} MB."
    )
