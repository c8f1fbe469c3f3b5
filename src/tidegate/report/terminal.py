"""Results in a terminal: sentences, and charts made of block characters."""

from typing import TYPE_CHECKING

import numpy as np

from tidegate.insight.inspection import Inspection
from tidegate.insight.sentences.base import token_name

if TYPE_CHECKING:
    from rich.console import Console

WIDTH, HEIGHT = 60, 7
EIGHTHS = " ▁▂▃▄▅▆▇█"


def print_inspection(console: "Console", found: Inspection) -> None:
    """Print the findings of an inspection, with two charts."""
    run, text = found.run, found.text
    layers = f"{run['layers']} layers of " if run["layers"] > 1 else ""
    epochs = f", epoch {run['epochs']:.3g}" if run["epochs"] is not None else ""
    console.print(
        f"\n[bold]{plain(run['name'])}[/bold]: {plain(run['cell'])}, {layers}{run['hidden']} units, {run['weights']:,} "
        f"weights, {run['checkpoint']} checkpoint{epochs}, on {plain(text['name'])} ({text['tokens']:,} tokens)."
    )
    if text["unknown"]:
        console.print(
            f"{text['unknown']:,} of them are not in the model's vocabulary; they are read as <unk>.", markup=False
        )
    for finding in found.findings:
        console.print()
        mark = "[bold red]Problem:[/bold red] " if finding.failure else ""
        console.print(mark + plain(finding.sentence))
        if finding.remedy:
            console.print(f"  Try: {plain(finding.remedy)}")
    for title, chart in charts(found, ascii_only=console.options.ascii_only):
        console.print(f"\n[bold]{title}[/bold]")
        for line in chart:
            console.print(line, markup=False)
    for name, reason in found.not_measured.items():
        console.print(f"\nNot measured: {name}. {reason}", markup=False)


def charts(found: Inspection, *, ascii_only: bool = False) -> list[tuple[str, list[str]]]:
    """The gradient against the lag, and the loss against the context, each with a title."""
    drawn, one = [], token_name(found.run["tokens_are"])
    if found.lag is not None:
        title = "Gradient of the loss of one prediction against the lag (log10 of its mean norm)"
        values = found.lag.log10_mean["all"]
        drawn.append((title, chart(found.lag.lags, values, f"{one}s back", ascii_only=ascii_only)))
    if found.horizon is not None:
        title = f"Loss against the number of last {one}s that the model has read (nats per {one})"
        lengths, loss = found.horizon.lengths, found.horizon.zero
        drawn.append((title, chart(np.log2(lengths), loss, f"{one}s", ascii_only=ascii_only, powers=True)))
    return drawn


def chart(x: np.ndarray, y: np.ndarray, unit: str, *, ascii_only: bool = False, powers: bool = False) -> list[str]:
    """The lines of a chart of y over x, filled below the curve; with `powers`, x are logarithms to the base 2."""
    x, y = x[np.isfinite(y)], y[np.isfinite(y)]
    if len(x) < 2:
        return ["(no finite values)"]
    at = np.interp(np.linspace(x[0], x[-1], WIDTH), x, y)
    low, high = float(at.min()), float(at.max())
    if high <= low:
        high = low + 1
    filled = np.round((at - low) / (high - low) * HEIGHT * 8).astype(int)
    lines = []
    for row in reversed(range(HEIGHT)):
        cells = np.clip(filled - 8 * row, 0, 8)
        text = "".join("#" if ascii_only and c >= 4 else " " if ascii_only else EIGHTHS[c] for c in cells)
        label = f"{high:9.3g}" if row == HEIGHT - 1 else f"{low:9.3g}" if row == 0 else " " * 9
        lines.append(f"{label} |{text}".rstrip())
    first, last = (f"{2**v:.0f}" if powers else f"{v:.0f}" for v in (x[0], x[-1]))
    return [*lines, f"{'':10}{first:<{WIDTH // 2}}{last + ' ' + unit:>{WIDTH // 2 + 1}}"]


def plain(text: object) -> str:
    """Text for rich, with brackets escaped so that they are not markup."""
    from rich.markup import escape

    return escape(str(text))
