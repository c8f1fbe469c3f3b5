"""Sections on how far back training can learn: gradients against the lag, and Lyapunov exponents."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from tidegate.report.figures import Axis, Mark, Plot, Series
from tidegate.report.inspection.probes import interval
from tidegate.report.inspection.run import Run, answers, split, spoken
from tidegate.report.page import Section

STATES = ("first", "heldout", "second", "train")


def lag(runs: Sequence[Run]) -> Section | None:
    """The gradient against the lag, after training and at initialisation, and by state where there are several."""
    measured = [run for run in runs if "lag" in run.figures]
    if not measured:
        return None
    token, series = measured[0].token, []
    for run in measured:
        name = f"{run.name}, " if len(runs) > 1 else ""
        figure = run.figures["lag"]
        low, _, high = figure["log10_quantiles"]["all"]
        series.append(Series(
            f"{name}after training", run.role, figure["lags"], figure["log10_mean"]["all"], low=low, high=high
        ))  # fmt: skip
        initial = run.figures.get("lag_initial")
        if initial:
            role = run.role if len(runs) > 1 else "baseline"
            series.append(Series(
                f"{name}before training", role, initial["lags"], initial["log10_mean"]["all"], dashed=True
            ))  # fmt: skip
    before = [replace(answer, said=f"Before training: {answer.said}") for answer in answers(runs, "lag_initial")]
    said = [*answers(runs, "lag"), *before]
    first = measured[0].figures["lag"]["log10_mean"]["all"][0]
    marks = [Mark("y", first - 2, "1 % of the value at lag 0")] if first is not None and len(measured) == 1 else []
    y = Axis("norm of the gradient", "exponent", range=shown(measured))
    plots = [Plot("lag", spoken(said), Axis(f"lag: {token}s back"), y, series, marks)]
    plots += [by_state(run) for run in measured if len(run.figures["lag"]["log10_mean"]) > 2]
    return Section(
        "gradient",
        "How far back does the gradient reach?",
        said,
        plots,
        [
            "The figure shows the gradient of the loss of one prediction with respect to the state at an earlier step. "
            "Training uses this gradient: where it vanishes, the network cannot learn dependences over that many "
            f"{token}s. The line is the mean over many predictions; the band contains 80 % of them.",
        ],
    )


def shown(runs: Sequence[Run]) -> tuple[float, float] | None:
    """The range of the gradients after training, in decades, and four decades below it: before training they can be
    much smaller, which would compress all other curves."""
    figures = [run.figures["lag"] for run in runs]
    after = [v for figure in figures for v in figure["log10_mean"]["all"] if v is not None]
    highest = [v for figure in figures for v in figure["log10_quantiles"]["all"][-1] if v is not None]
    return (math.floor(min(after)) - 4, math.ceil(max(after + highest))) if after else None


def by_state(run: Run) -> Plot:
    figure = run.figures["lag"]
    names = [name for name in figure["log10_mean"] if name != "all"]
    series = [
        Series(label(run, name), STATES[k % 4], figure["lags"], figure["log10_mean"][name], dashed=k >= 4)
        for k, name in enumerate(names)
    ]
    return Plot(
        f"lag-{run.number}", f"{run.name}: the same gradient with respect to each state alone.",
        Axis(f"lag: {run.token}s back"), Axis("norm of the gradient", "exponent"), series,
        caption=f"{run.name}: gradient with respect to each state",
    )  # fmt: skip


def label(run: Run, traced: str) -> str:
    """ "h_l1" in words: state h of layer 1."""
    name, layer = split(traced)
    return f"state {name}" + (f" of layer {layer}" if run.layers > 1 else "")


def spectrum(run: Run, name: str, label: str, *, shift: float) -> Series:
    """The exponents as dots with two standard errors, at 1, 2, 3, ... + shift; hollow before training."""
    figure, initial = run.figures[name], name == "lyapunov_initial"
    low, high = interval(figure["exponents"], figure["standard_error"])
    return Series(
        label, "baseline" if initial else run.role, [i + 1 + shift for i in range(len(low))], figure["exponents"],
        low=low, high=high, line=False, points=True, dashed=initial,
    )  # fmt: skip


def exponents(runs: Sequence[Run]) -> Section | None:
    """The largest Lyapunov exponents with two standard errors."""
    measured = [run for run in runs if "lyapunov" in run.figures]
    if not measured:
        return None
    series = []
    for k, run in enumerate(measured):
        name = f"{run.name}, " if len(runs) > 1 else ""
        for j, (figure, words) in enumerate((("lyapunov", "after training"), ("lyapunov_initial", "before training"))):
            if figure in run.figures:
                series.append(spectrum(run, figure, name + words, shift=0.18 * (2 * k + j)))
    said = [*answers(runs, "lyapunov"), *answers(runs, "jacobians")]
    plot = Plot(
        "exponents", spoken(said), Axis("index of the exponent, largest first"), Axis("nats per step", zero=True),
        series, [Mark("y", 0.0, "0: neither decay nor growth")],
    )  # fmt: skip
    return Section(
        "exponents",
        "Do small changes of the state decay or grow?",
        said,
        [plot],
        [
            "A Lyapunov exponent is the mean rate at which a small change of the state grows (above 0) or decays "
            "(below 0) while the network reads the text; each exponent belongs to a direction of change, and the "
            "largest determines how most changes develop. A rate of −0.1 nats per step is a factor of 0.9 per step; "
            f"one step reads one {measured[0].token}. Whiskers are two standard errors.",
        ],
    )
