"""Two figures of the memory horizon: the swap test and the linear readout."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from tidegate.report.figures import Axis, Plot, Series
from tidegate.report.inspection.run import Run
from tidegate.report.page import Markup


def swap(runs: Sequence[Run]) -> Plot:
    """The change of a prediction where one earlier token is replaced, against its lag."""
    token, series = runs[0].token, []
    for run in runs:
        figure = run.figures["horizon"]["swap"]
        low, high = interval(figure["kl"], figure["kl_error"])
        series.append(Series(run.name, run.role, figure["lags"], figure["kl"], low=low, high=high))
    return Plot(
        "swap", sentences(runs, "swap"), Axis(f"{token}s back", "log"),
        Axis("change of the prediction, nats", zero=True), series,
        caption=f"Change of the prediction if one earlier {token} is replaced",
    )  # fmt: skip


def readout(runs: Sequence[Run]) -> Plot:
    """How well a linear function of the state predicts an earlier token, against its lag."""
    token, series = runs[0].token, []
    for run in runs:
        figure, name = run.figures["horizon"]["readout"], f"{run.name}, " if len(runs) > 1 else ""
        low, high = interval(figure["r2"], figure["error"])
        series.append(Series(f"{name}from the state", run.role, figure["lags"], figure["r2"], low=low, high=high))
        role = run.role if len(runs) > 1 else "baseline"
        words = f"{name}from the last {token} alone"
        series.append(Series(words, role, figure["lags"], figure["from_token"], dashed=True))
    return Plot(
        "readout", sentences(runs, "readout"), Axis(f"{token}s back"), Axis("R², share of variance", zero=True), series,
        caption=f"How well an earlier {token} can be predicted from the state",
    )  # fmt: skip


def interval(values: Sequence[float], errors: Sequence[float | None]) -> tuple[list[Any], list[Any]]:
    """Two standard errors below and above; None where the error is not known."""
    pairs = list(zip(values, errors))
    return [None if e is None else v - 2 * e for v, e in pairs], [None if e is None else v + 2 * e for v, e in pairs]


def said(run: Run, name: str) -> str:
    """The sentence of the swap test or the readout of a run."""
    horizon = run.found.horizon
    return "" if horizon is None else str(getattr(horizon, name))


def sentences(runs: Sequence[Run], name: str) -> str:
    return " ".join(f"{run.name}: {said(run, name)}" for run in runs)


def paragraphs(runs: Sequence[Run], name: str) -> Markup:
    """The sentences as paragraphs, with the names of the runs where there are two."""
    lines = []
    for run in runs:
        head = f'<b class="{run.role}">{escape(run.name)}:</b> ' if len(runs) > 1 else ""
        if words := said(run, name):
            lines.append(f"<p>{head}{escape(words)}</p>")
    return Markup("".join(lines))
