"""Comparison: the result of `tidegate.compare`, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidegate.comparing.outcome import Outcome
from tidegate.comparing.rates import Rate
from tidegate.comparing.settings import Settings
from tidegate.comparing.summary import Summary
from tidegate.comparing.verdict import Verdict
from tidegate.insight.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, kw_only=True)
class ArmResult:
    """One cell with one setting of what is varied, over all seeds.

    label: its name in the tables.   cell: the name of the cell; equations: its `calculus.serial` JSON.
    varied: the values of what is varied.   settings: all settings; `hidden` is the number of units of this cell, and
    `lr` the learning rate that was used.   rate: how it was chosen.
    chance, best, solved: of the task, which may depend on its varied parameters.
    weights: all parameters; recurrent_weights: without the head; state: numbers kept from step to step.
    step_seconds: the measured seconds of a step, where training time is matched.
    outcomes: one for each seed.   summary: over the seeds.
    """

    label: str
    cell: str
    equations: str
    varied: Mapping[str, Any]
    settings: Settings
    rate: Rate
    chance: float
    best: float | None
    solved: float
    weights: int
    recurrent_weights: int
    state: int
    step_seconds: float | None
    outcomes: tuple[Outcome, ...]
    summary: Summary


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Comparison(Figure):
    """What `tidegate.compare` found.

    task: its name, parameters, source, metric, and whether a higher score is better.
    matched: "weights", "units" or "seconds".   seeds: those that are reported; tuning_seeds: those on which learning
    rates were chosen.   arms: one result for each cell and setting.   verdicts: one for each pair of arms that differ
    in one thing, corrected for their number.   notes: sentences on what was left out, or does not match.
    versions: of what the numbers depend on.   caution: what a reader must know first; empty where there is nothing.
    """

    task: Mapping[str, Any]
    matched: str
    seeds: tuple[int, ...]
    tuning_seeds: tuple[int, ...]
    arms: tuple[ArmResult, ...]
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...]
    versions: Mapping[str, str]
    caution: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {"tidegate": "comparison", **super().as_dict()}

    def arm(self, label: str) -> ArmResult:
        """The result of the arm with this label."""
        return {arm.label: arm for arm in self.arms}[label]

    def plot(self, axes: Axes | None = None) -> Axes:
        """Draw the learning curves with matplotlib, into `axes` or a new figure; returns the axes."""
        from tidegate.comparing import plots  # noqa: F401  registers the plot

        return super().plot(axes)

    def __str__(self) -> str:
        from tidegate.comparing.sentences import sentences

        return "\n".join(sentences(self))

    def _repr_html_(self) -> str:
        from tidegate.comparing import plots  # noqa: F401  registers the plot

        return super()._repr_html_()
