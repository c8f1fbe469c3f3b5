"""Which of two arms is better: a paired verdict for every pair, corrected for their number."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tidegate.comparing.outcome import Outcome
from tidegate.comparing.statistics import (
    Array,
    detectable,
    holm,
    mean_interval,
    minimum_seeds,
    sign_flip,
)
from tidegate.tasks import Task

SHARES = ("accuracy", "strings right")  # metrics between 0 and 1
Kind = Literal["better", "no difference", "too few seeds"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A pair of arms over their common seeds.

    measure: what is compared: the task's metric, or "steps" (or "seconds") until solved where both arms solved the task
    with every common seed. The choice does not depend on which of the arms did better in a seed, so the test stays
    exact. All runs that solved the task count as equal, with the score from which it is solved, because training ends
    there.
    seeds: the number of common seeds; `needed`: the least number with which a difference can be significant.
    difference: the mean of first - second; low, high: its t interval, at the level that Holm's correction gives this
    pair: 1 - `level`; cut at the largest difference that is possible.
    p: of the exact sign-flip test; `adjusted`: after Holm's correction over `pairs` pairs.
    detectable: the true difference that would have been detected in 80 % of such comparisons.
    kind: "better" where adjusted <= 0.05 and the interval does not contain 0; `better` is then the label of that arm.
    "too few seeds" where no difference could have been significant.
    """

    first: str
    second: str
    measure: str
    seeds: int
    needed: int
    pairs: int
    difference: float
    low: float
    high: float
    level: float
    p: float
    adjusted: float
    detectable: float | None
    kind: Kind
    better: str | None


@dataclass(frozen=True)
class Paired:
    """Differences first - second over the common seeds, in the unit of `measure`; `sign` is 1 where more is better.
    limit: the largest difference that is possible."""

    first: str
    second: str
    measure: str
    differences: Array
    sign: int
    limit: float = math.inf


def verdicts(pairs: Sequence[Paired]) -> list[Verdict]:
    """The verdicts on all pairs of a comparison together."""
    p = [sign_flip(pair.differences) for pair in pairs]
    adjusted, levels = holm(p)
    needed = minimum_seeds(len(pairs)) if pairs else 0
    return [
        verdict(pair, own_p, own_adjusted, level, needed, len(pairs))
        for pair, own_p, own_adjusted, level in zip(pairs, p, adjusted, levels)
    ]


def verdict(pair: Paired, p: float, adjusted: float, level: float, needed: int, pairs: int) -> Verdict:
    d, n = pair.differences, len(pair.differences)
    low, high = np.clip(mean_interval(d, level), -pair.limit, pair.limit).tolist()
    kind: Kind = "no difference"
    better = None
    if n < needed:
        kind = "too few seeds"
    elif adjusted <= 0.05 and (low > 0 or high < 0):
        kind = "better"
        better = pair.first if (low > 0) == (pair.sign > 0) else pair.second
    return Verdict(
        first=pair.first,
        second=pair.second,
        measure=pair.measure,
        seeds=n,
        needed=needed,
        pairs=pairs,
        difference=float(d.mean()) if n else 0.0,
        low=low,
        high=high,
        level=level,
        p=p,
        adjusted=adjusted,
        detectable=detectable(d, level) if n >= needed and kind == "no difference" and d.any() else None,
        kind=kind,
        better=better,
    )


def pair_up(
    task: Task,
    first: str,
    second: str,
    a: Sequence[Outcome],
    b: Sequence[Outcome],
    per_step: Mapping[str, float] | None,
) -> Paired:
    """The paired differences of two arms: of their scores, or of the time until solved where both always solved it.

    `per_step`: the seconds of a training step of each arm, where training time is matched.
    """
    left = {run.seed: run for run in a if run.score is not None}
    right = {run.seed: run for run in b if run.score is not None}
    common = sorted(left.keys() & right.keys())
    pairs = [(left[seed], right[seed]) for seed in common]
    if pairs and all(run.solved_at is not None for pair in pairs for run in pair):
        x = [((u.solved_at or 0), (v.solved_at or 0)) for u, v in pairs]
        if per_step is None:
            return Paired(first, second, "steps", np.array([u - v for u, v in x], float), -1)
        differences = [u * per_step[first] - v * per_step[second] for u, v in x]
        return Paired(first, second, "seconds", np.array(differences, float), -1)
    scores = [limited(task, u) - limited(task, v) for u, v in pairs]
    sign = 1 if task.higher_is_better else -1
    return Paired(first, second, task.metric, np.array(scores, float), sign, largest_difference(task))


def largest_difference(task: Task) -> float:
    """Shares lie between 0 and the one from which the task counts as solved; other scores have no limit."""
    return task.solved if task.metric in SHARES and 0 < task.solved <= 1 else math.inf


def limited(task: Task, run: Outcome) -> float:
    """The score of a run, at most that of a solved task, and that of a solved task where the run solved it."""
    if run.status == "solved" or run.score is None:
        return task.solved
    return min(run.score, task.solved) if task.higher_is_better else max(run.score, task.solved)
