"""The learning rate of each arm: the best of the same few for all, on seeds that are not reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tidegate.comparing.outcome import Outcome
from tidegate.errors import ArgumentError
from tidegate.tasks import Task


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One learning rate: how many of its runs solved the task, the mean of the steps until then (all steps for a run
    that did not), and the mean score."""

    rate: float
    runs: int
    solved: int
    steps: float
    score: float | None


@dataclass(frozen=True, kw_only=True)
class Rate:
    """The learning rate of an arm. trials: one for each rate that was tried; empty where the rate was given.
    unfinished: the best rate is the smallest or the largest that was tried, so that a better one may lie beyond."""

    rate: float
    trials: tuple[Trial, ...] = ()
    unfinished: bool = False


def check_rates(rates: Sequence[float]) -> tuple[float, ...]:
    found = tuple(rates)
    if not found or list(found) != sorted(set(found)) or not all(0 < rate < np.inf for rate in found):
        raise ArgumentError(f"`rates` must be positive numbers in increasing order, got {found}.")
    return found


def choose(task: Task, rates: Sequence[float], runs: Sequence[Sequence[Outcome]], steps: int) -> Rate:
    """The best rate: the one with the most runs solved, then the fewest steps until solved, then the best mean score.

    runs: the outcomes of each rate. With a single rate there is nothing to choose, and nothing is unfinished.
    """
    trials = tuple(trial(rate, own, steps) for rate, own in zip(rates, runs))
    sign = 1 if task.higher_is_better else -1

    def goodness(k: int) -> tuple[float, ...]:
        own = trials[k]
        return own.solved, -own.steps, -np.inf if own.score is None else sign * own.score

    best = max(range(len(trials)), key=goodness)
    edge = len(trials) > 1 and best in (0, len(trials) - 1)
    return Rate(rate=trials[best].rate, trials=trials, unfinished=edge)


def trial(rate: float, runs: Sequence[Outcome], steps: int) -> Trial:
    sound = [run for run in runs if run.score is not None]
    scores = [run.score for run in sound if run.score is not None]
    return Trial(
        rate=rate,
        runs=len(sound),
        solved=sum(run.status == "solved" for run in sound),
        steps=float(np.mean([steps if run.solved_at is None else run.solved_at for run in runs])),
        score=float(np.mean(scores)) if scores else None,
    )
