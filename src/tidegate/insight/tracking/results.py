"""The results of `units`."""

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
    """The verdict on a feature: the strongest of those on its units."""
    return next(verdict for verdict in VERDICTS if verdict in (*verdicts, "none found"))


@dataclass(frozen=True)
class Effect:
    """The extra loss, in nats per token, of a model in which a unit is held at its mean.

    extra: its mean where the feature is on, its mean elsewhere, and their difference, which is the effect of the unit.
    others: the differences for random other units. needed: whether there is at least one of the `others`, the
    difference is larger than all of them and than 0.001 nats, and it is significantly above 0 at the level of the
    tests, corrected for the number of effects.
    """

    extra: Contrast
    others: np.ndarray
    needed: bool


@dataclass(frozen=True)
class TrackedUnit:
    """A unit that was found for a feature.

    layer, unit, state: the layer and index of the unit, and that of its states which has the greatest |r|.
    r_find, p_find: correlation on the text `find`. The unit was selected by it, so |r_find| is too large on average.
    r, p: correlation on the text `confirm`, and the probability that the largest |r| of the found units is at least
    this large by chance.
    r_within, p_within: the same between positions with equal previous and current tokens; NaN where that is undefined.
    confirmed: whether p and p_within are at most the level, and the signs of the three r agree.
    total: the effect of holding all states of the unit at every step; None unless confirmed.
    direct: the effect of holding its output only for the scores; None unless confirmed and in the last layer.
    resampled: as total, but at every step the states are set to those at a random position of the text instead of their
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

    both: the contrast of their extra loss. synergy: the difference of `both` minus the sum of the differences of the
    two units alone. If it is above 0, each unit can partly replace the other, and holding only one of them
    underestimates its contribution.
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
    positions_find, positions_confirm, positions_held: the numbers of tokens from which r on each text and the effects
    are computed; the last is 0 if no unit was confirmed.
    null_find, null_confirm: "donors" or "circular shifts", with `cases` cases each. level: the significance level of
    all tests.
    notes: the limits of these results, one sentence each.   tokens_are: "char", "byte" or "word".
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
    tokens_are: str | None

    def __getitem__(self, feature: str) -> FeatureUnits:
        """The result for the feature of that name. Raises ArgumentError where there is none."""
        named = {own.feature: own for own in self.features}
        if feature not in named:
            raise ArgumentError(f"`feature` must be one of {', '.join(named)}, got {feature!r}.")
        return named[feature]
