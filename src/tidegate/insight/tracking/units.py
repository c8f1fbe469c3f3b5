"""What the units of a language model track, and whether the model uses it.

The steps of `units`:

1. Correlation (`correlation.found`): Pearson's r of every unit with every feature on the text `find`, compared with
   a null distribution that keeps the autocorrelation of both (`null.py`). For a feature with the values true and false,
   r is the point-biserial correlation.
2. Confirmation (`correlation.confirmed`) on the text `confirm`, on which the model was not trained: r of the found
   units alone, again compared with a null distribution, and then the same between positions with equal previous and
   current tokens, because a unit that responds to a quotation mark is also correlated with being inside quotes.
3. Ablation (`ablation.effects`): all states of each confirmed unit are held at their means at every step. The effect
   of the unit is the extra loss where the feature is on minus the extra loss elsewhere. The unit is needed if its
   effect is larger than those of 20 random units of similar variance, significantly above 0, and at least 0.001 nats.

How strongly a unit responds to a feature says little about its importance (Morcos et al., arXiv:1803.06959, 2018), so
only a unit that passes all three steps should be called, for example, a quote unit. A feature without such a unit can
still be represented: by many units together, or by units of which each can replace another (Meyes et al.,
arXiv:1901.08644, 2019; see Pair).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tidegate.errors import ArgumentError
from tidegate.insight.initial import initial_model
from tidegate.insight.reading import read
from tidegate.insight.subject import as_subject
from tidegate.insight.threads import one_blas_thread
from tidegate.insight.tracking.ablation import with_effects
from tidegate.insight.tracking.correlation import LEVEL, best_untrained, confirmed, found
from tidegate.insight.tracking.experiment import blocks, experiment_on
from tidegate.insight.tracking.features import FEATURES, Feature, is_numeric, is_on
from tidegate.insight.tracking.null import SHIFTS
from tidegate.insight.tracking.results import FeatureUnits, Pair, TrackedUnit, Units, strongest
from tidegate.insight.tracking.sample import Sample, sample
from tidegate.insight.tracking.states import Network
from tidegate.insight.tracking.strata import DETERMINED, share_within
from tidegate.train.load import Trained

FEWEST_BLOCKS = 8  # with fewer, a standard error is uncertain by more than a quarter


@one_blas_thread
def units(
    model: Trained,
    find: Any,
    confirm: Any,
    *,
    features: Mapping[str, Feature] | None = None,
    positions: int = 40_000,
    donors: int = 1000,
    top: int = 3,
    controls: int = 20,
    held: int = 6400,
    pairs: int = 3,
    seed: int = 0,
) -> Units:
    """Which units track which features of a text, confirmed on another text and by holding the unit at its mean.

    `model` is the result of tidegate.load; `find` and `confirm` are different texts, or token indices (N,), of at least
    301 tokens; the model must not have been trained on `confirm`. `features` maps names to functions of a text, by
    default `FEATURES`.

    The other arguments determine work and precision. positions: tokens of each text, spread evenly over it.
    donors: cases of the null distribution; at least 40 per feature are used, so that p can be below the level after the
    correction for the number of features.   top: units per feature at most.   controls: random units that each unit is
    compared with.   held: tokens for the effects; if the vocabulary is large, only every n-th of them is scored.
    pairs: pairs are measured among the first `pairs` confirmed units of each feature.

    Raises ArgumentTypeError for a model without a vocabulary; ShapeError for texts that are too short; ArgumentError
    for equal texts, for tokens outside the vocabulary and for numbers out of range.
    """
    check({"positions": positions, "donors": donors, "top": top, "controls": controls, "held": held}, least=1)
    check({"pairs": pairs}, least=0)
    features = FEATURES if features is None else features
    subject = as_subject(model, language_model=True)
    assert subject.head is not None
    text_a, text_b = read(subject, find, "find"), read(subject, confirm, "confirm")
    if text_a.ids.equal(text_b.ids):
        raise ArgumentError("`confirm` must be another text than `find`: a text cannot confirm what was found on it.")
    network = Network.of(subject.layer, subject.head)
    generator = np.random.default_rng(seed)
    a = sample(network, text_a, features, positions, "find")
    b = sample(network, text_b, features, positions, "confirm")
    chosen = [f for f in range(len(features)) if a.varies[f] and b.varies[f]]
    cases = max(donors, 40 * len(chosen))
    candidates = found(network, a, chosen, top=top, cases=cases, generator=generator)
    tracked = confirmed(network, b, candidates, cases=cases, generator=generator)
    experiment = experiment_on(b, held, generator)
    tracked, pairs_of, tokens = with_effects(experiment, tracked, controls=controls, pairs=pairs, generator=generator)
    initial = initial_model(model)
    untrained = best_untrained(Network.of(initial.recurrent, initial.head), b)
    return Units(
        features=tuple(
            feature_result(name, f, b, f in chosen, tracked.get(f, []), pairs_of.get(f, ()), float(untrained[f]))
            for f, name in enumerate(features)
        ),
        cell=network.step.name,
        layers=network.layer.num_layers,
        hidden=network.layer.hidden_size,
        positions_find=a.features[:, :, 0].size,
        positions_confirm=b.features[:, :, 0].size,
        positions_held=tokens,
        null_find=a.null,
        null_confirm=b.null,
        cases=cases,
        level=LEVEL,
        notes=notes(
            a,
            b,
            [unit for own in tracked.values() for unit in own],
            controls=controls,
            held=experiment.passages.counted.size,
            tokens=tokens,
            blocks=len(np.unique(blocks(experiment))),
        ),
        tokens_are=subject.tokens_are,
    )


def feature_result(
    name: str,
    f: int,
    b: Sample,
    occurs: bool,
    tracked: Sequence[TrackedUnit],
    pairs: tuple[Pair, ...],
    untrained: float,
) -> FeatureUnits:
    """The result for the feature with index f."""
    if not occurs:
        return FeatureUnits(
            name, False, is_numeric(b.values[:, f]), math.nan, math.nan, None, math.nan, (), (), "none found"
        )
    within = float(share_within(b.features[:, :, [f]], b.strata)[0])
    return FeatureUnits(
        feature=name,
        occurs=True,
        numeric=is_numeric(b.values[:, f]),
        on=float(is_on(b.features[:, :, f]).mean()),
        within=within,
        determined=None if math.isnan(within) else within < DETERMINED,
        untrained=untrained,
        units=tuple(tracked),
        pairs=pairs,
        verdict=strongest([unit.verdict for unit in tracked]),
    )


def notes(
    a: Sample, b: Sample, tracked: Sequence[TrackedUnit], *, controls: int, held: int, tokens: int, blocks: int
) -> tuple[str, ...]:
    """The limits of the results, one sentence each."""
    found = [
        f"The text `{name}` is too short for 15 passages, so p is computed from circular shifts of the labels. It is "
        "too small if states and feature share a slow trend."
        for name, own in (("find", a), ("confirm", b))
        if own.null == SHIFTS
    ]
    beside = min((len(unit.total.others) for unit in tracked if unit.total), default=controls)
    if beside < controls:
        found.append(
            f"A layer has {a.network.layer.hidden_size} units, so a unit is compared with {beside} random ones instead "
            f"of {controls}: an unrelated unit has the largest effect with probability 1/{beside + 1}."
        )
    if 0 < tokens < held:
        found.append(
            f"Effects are measured at one token in {held / tokens:.0f}, because the scores of "
            f"{a.network.head.out_features:,} tokens take long to compute."
        )
    if blocks < FEWEST_BLOCKS:
        found.append(f"The standard errors of the effects are imprecise, because they are from {blocks} blocks.")
    return tuple(found)


def check(numbers: Mapping[str, int], *, least: int) -> None:
    """ArgumentError for a number that is not an integer of at least `least`."""
    for name, value in numbers.items():
        if not isinstance(value, int) or value < least:
            raise ArgumentError(f"`{name}` must be an integer of at least {least}, got {value!r}.")
