"""Short and long dependencies: a GRU and two GRUs with one gate, compared at equal weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tidegate
from measured.tables import number, table
from tidegate.comparing.comparison import ArmResult, Comparison
from tidegate.comparing.settings import Settings

CELLS = ("gru", "reset-only-gru", "update-only-gru")
RATES = (2e-3, 6e-3, 2e-2, 6e-2, 2e-1)
VARIED: Mapping[str, Mapping[str, Sequence[Any]]] = {
    "recall": {"length": (3, 14)},
    "break": {"segment": (2.0, 20.0)},
}
SHOWN = {
    "length 3": "recall, 2 steps back",
    "length 14": "recall, 13 steps back",
    "segment 2.0": "break, segments of 2 steps",
    "segment 20.0": "break, segments of 20 steps",
}


@dataclass(frozen=True)
class Effort:
    """The seeds, and the learning rate, None where it is chosen for each cell from RATES."""

    seeds: int
    lr: float | None


FULL, QUICK = Effort(10, None), Effort(2, 1e-2)


def lags(effort: Effort) -> list[str]:
    rows = []
    for task, vary in VARIED.items():
        settings = Settings(hidden=32, steps=1000, eval_every=10, eval_size=256, lr=effort.lr)
        rates = RATES if effort.lr is None else None
        found = tidegate.compare(task, CELLS, vary=vary, seeds=effort.seeds, settings=settings, rates=rates, workers=1)
        for label in SHOWN:
            rows += [row(found, label, arm) for arm in found.arms if arm.label.endswith(label)]
    head = ("task", "cell", "units", "learning rate", "solved", "steps until solved", "score", "against the GRU")
    return table(head, rows)


def row(found: Comparison, label: str, arm: ArmResult) -> list[str]:
    own = arm.summary
    low, middle, high = (number(score) for score in own.score or (0, 0, 0))
    return [
        SHOWN[label],
        arm.cell,
        str(arm.settings.hidden),
        f"{arm.rate.rate:g}{', at the edge' if arm.rate.unfinished else ''}",
        f"{own.solved} of {own.runs}",
        "-" if own.steps is None else f"{own.steps:.0f}",
        middle if low == high else f"{middle} ({low} to {high})",
        verdict(found, arm),
    ]


def verdict(found: Comparison, arm: ArmResult) -> str:
    """The verdict on the arm and the GRU at the same setting, with its p-value after Holm's correction."""
    for own in found.verdicts:
        gru, other = found.arm(own.first), own.second
        if gru.cell == "gru" and other == arm.label:
            if own.kind == "better":
                return f"{'better' if own.better == other else 'worse'} in {own.measure} (p = {own.adjusted:.2g})"
            return own.kind if own.kind == "too few seeds" else "no difference seen"
    return ""
