"""What `units` returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from tidegate.errors import ArgumentError
from tidegate.insight.figure import Figure
from tidegate.insight.tracking.block_error import Contrast

Verdict = Literal["needed", "tracks only", "not confirmed", "none found"]
VERDICTS: tuple[Verdict, ...] = ("needed", "tracks only", "not confirmed", "none found")  # strongest first


def strongest(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict on a feature from those on its units."""
    return next(verdict for verdict in VERDICTS if verdict in (*verdicts, "none found"))


@dataclass(frozen=True)
class Effect:
    """The extra loss, in nats per token, of a model in which a unit is held at its mean.

    extra: its mean where the feature is on and elsewhere, and the difference, which is the effect of the unit on the
    feature. others: the differences for random other units. needed: whether the difference exceeds all `others`, of
    which there is at least one, and 0.001 nats, and is above 0 at the level of the tests, corrected for the number of
    effects.
    """

    extra: Contrast
    others: np.ndarray
    needed: bool


@dataclass(frozen=True)
class TrackedUnit:
    """A unit that was found for a feature.

    layer, unit, state: which one; of the states of the unit the one with the greatest |r|.
    r_find, p_find: correlation on the text `find`, by which the unit was selected, so that it is too large on average.
    r, p: correlation on the text `confirm`, and how often the best of the found units is as large by chance.
    r_within, p_within: the same between positions with equal previous and current tokens; NaN where that is undefined.
    confirmed: whether p and p_within are at most the level, and the signs of the three r agree.
    total: the effect of holding all states of the unit at every step; None unless confirmed.
    direct: of holding its output only where the scores are computed; None unless confirmed, and below the last layer.
    resampled: as total, with the states of the unit at a random position of the text at every step instead of their
    means, as a check; None unless confirmed.
    verdict: "needed", "tracks only" or "not confirmed", from `confirmed` and `total.needed`.
    """

    layer: int
    unit: int
    state: str
    r_find: float
    p_find: float
    r: float
    p: float
    r_within: float
    p_within: float
    confirmed: bool
    total: Effect | None = None
    direct: Effect | None = None
    resampled: Contrast | None = None
    verdict: Verdict = field(init=False)

    def __post_init__(self) -> None:
        used: Verdict = "needed" if self.total is not None and self.total.needed else "tracks only"
        object.__setattr__(self, "verdict", used if self.confirmed else "not confirmed")


@dataclass(frozen=True)
class Pair:
    """Two confirmed units of a feature that are held together.

    both: the contrast of their extra loss. synergy: its difference minus the sum of the two differences of the units
    alone. Above 0 each can partly replace the other, so that holding one shows less than it contributes.
    """

    first: tuple[int, int]
    second: tuple[int, int]
    both: Contrast
    synergy: float


@dataclass(frozen=True)
class FeatureUnits:
    """The units that track one feature, the largest |r| on `find` first.

    occurs: whether the feature varies on both texts; otherwise nothing else is measured.
    numeric: whether it has other values than true and false; it is then on where it is above its median.
    on: the share of the positions of `confirm` where it is on.
    within: the share of its variance that is left between positions with equal previous and current tokens.
    determined: whether that is below 1 %, so that no memory is needed to follow it; None where tokens are too rare.
    untrained: the greatest |r| on `confirm` of a unit of the network before its training.
    """

    feature: str
    occurs: bool
    numeric: bool
    on: float
    within: float
    determined: bool | None
    untrained: float
    units: tuple[TrackedUnit, ...]
    pairs: tuple[Pair, ...]
    verdict: Verdict


@dataclass(frozen=True, eq=False, repr=False)
class Units(Figure):
    """What the units of a language model track: see `units`.

    features: the result for each. cell, layers, hidden: the size of the model.
    positions_find, positions_confirm, positions_held: the numbers of tokens over which r and effects are means; the
    last is 0 where no unit was confirmed.
    null_find, null_confirm: "donors" or "circular shifts", with `cases` cases each. level: of all tests.
    notes: what limits these results, a sentence each.
    """

    features: tuple[FeatureUnits, ...]
    cell: str
    layers: int
    hidden: int
    positions_find: int
    positions_confirm: int
    positions_held: int
    null_find: str
    null_confirm: str
    cases: int
    level: float
    notes: tuple[str, ...]

    def __getitem__(self, feature: str) -> FeatureUnits:
        """The result for the feature of that name. Raises ArgumentError where there is none."""
        named = {own.feature: own for own in self.features}
        if feature not in named:
            raise ArgumentError(f"`feature` must be one of {', '.join(named)}, got {feature!r}.")
        return named[feature]
