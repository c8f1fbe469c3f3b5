"""What the runs of one arm found together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tidegate.comparing.outcome import Outcome
from tidegate.comparing.statistics import Array, quartiles, wilson
from tidegate.tasks import Task

Quartiles = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """runs: the number of seeds whose job did not fail; diverged, solved: how many of them.
    score: lower quartile, median and upper quartile of the final score.
    share: of seeds that solved the task; share_low, share_high: its Wilson limits at 95 %.
    steps: the median number of steps until solved, where at least half of the seeds solved it.
    seconds: the median processor time of training.   tests: the median score of each further test.
    figures: the median of each further figure.
    curve_steps (n,), curve (n, 3): quartiles of the score at each evaluation. A run that has ended keeps its last
    score; one that diverged has that of chance.
    """

    runs: int
    diverged: int
    solved: int
    score: Quartiles | None
    share: float | None
    share_low: float | None
    share_high: float | None
    steps: float | None
    seconds: float | None
    tests: Mapping[str, float]
    figures: Mapping[str, float]
    curve_steps: Array
    curve: Array


def summarise(task: Task, outcomes: Sequence[Outcome]) -> Summary:
    sound = [run for run in outcomes if run.score is not None]
    steps, curves = curves_of(task, sound)
    n, solved = len(sound), sum(run.status == "solved" for run in sound)
    low, high = wilson(solved, n) if n else (None, None)
    taken = [run.solved_at if run.solved_at is not None else np.inf for run in sound]
    median_steps = float(np.quantile(taken, 0.5, method="higher")) if taken else np.inf
    return Summary(
        runs=n,
        diverged=sum(run.status == "diverged" for run in sound),
        solved=solved,
        score=quartiles([run.score for run in sound if run.score is not None]) if n else None,
        share=solved / n if n else None,
        share_low=low,
        share_high=high,
        steps=median_steps if np.isfinite(median_steps) else None,
        seconds=float(np.median([run.seconds for run in sound])) if n else None,
        tests=medians([run.tests for run in sound]),
        figures=medians([run.figures for run in sound]),
        curve_steps=steps,
        curve=np.quantile(curves, (0.25, 0.5, 0.75), axis=0).T if n else np.empty((0, 3)),
    )


def medians(found: Sequence[Mapping[str, float | None]]) -> dict[str, float]:
    """The median of each figure over the runs that have it."""
    names = dict.fromkeys(name for own in found for name in own)
    known = {name: [value for own in found if (value := own.get(name)) is not None] for name in names}
    return {name: float(np.median(values)) for name, values in known.items() if values}


def curves_of(task: Task, runs: Sequence[Outcome]) -> tuple[Array, Array]:
    """The steps of all evaluations, (n,), and the score of each run at them, (runs, n)."""
    steps = sorted({step for run in runs for step, _ in run.curve})
    rows = []
    for run in runs:
        at, scores = [s for s, _ in run.curve], [score for _, score in run.curve]
        if run.status == "diverged":
            at, scores = [*at, run.steps + 1], [*scores, task.chance]
        index = np.searchsorted(at, steps, side="right") - 1
        rows.append([scores[i] if i >= 0 else np.nan for i in index])
    found = np.array(rows, float).reshape(len(runs), len(steps))
    whole = ~np.isnan(found).any(0)
    return np.array(steps, float)[whole], found[:, whole]
