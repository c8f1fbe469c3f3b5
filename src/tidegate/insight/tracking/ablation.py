"""Whether a model uses a unit: the extra loss while it is held at its mean, where a feature is on and elsewhere."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from tidegate.insight.tracking.block_error import Contrast, contrast
from tidegate.insight.tracking.experiment import Experiment, blocks
from tidegate.insight.tracking.held import Variant, held_losses, readout_extra
from tidegate.insight.tracking.results import Effect, Pair, TrackedUnit

LEVEL = 0.05
SMALLEST = 0.001  # nats: a smaller difference is irrelevant, even if it is significant
Unit = tuple[int, int]  # layer, unit


class Effects(NamedTuple):
    """The fields of a TrackedUnit that are measured while the unit is held."""

    total: Effect
    direct: Effect | None
    resampled: Contrast


def with_effects(
    experiment: Experiment,
    tracked: Mapping[int, Sequence[TrackedUnit]],
    *,
    controls: int,
    pairs: int,
    generator: np.random.Generator,
) -> tuple[dict[int, list[TrackedUnit]], dict[int, tuple[Pair, ...]], int]:
    """The tracked units of each feature, with the effects of the confirmed ones; the pairs of confirmed units; and the
    number of tokens that were scored."""
    found = {f: [(u.layer, u.unit) for u in own if u.confirmed] for f, own in tracked.items()}
    measured, couples, tokens = effects(experiment, found, controls=controls, pairs=pairs, generator=generator)
    complete = {
        f: [with_effects_of(u, measured.get((f, (u.layer, u.unit)))) for u in own] for f, own in tracked.items()
    }
    return complete, couples, tokens


def with_effects_of(unit: TrackedUnit, measured: Effects | None) -> TrackedUnit:
    return unit if measured is None else dataclasses.replace(unit, **measured._asdict())


def effects(
    experiment: Experiment,
    found: Mapping[int, Sequence[Unit]],
    *,
    controls: int,
    pairs: int,
    generator: np.random.Generator,
) -> tuple[dict[tuple[int, Unit], Effects], dict[int, tuple[Pair, ...]], int]:
    """The Effects of the units `found` for each feature, by (feature, unit); by feature the pairs among its first
    `pairs` units; and the number of tokens that were scored. Features are numbered as the columns of `on`.

    Each effect is compared with those of `controls` random units of the same layer that were not found for the feature:
    of the 2 `controls` units whose outputs have the most similar variance, `controls` are drawn; all others are taken
    if the layer has fewer. The test of the difference is corrected for the number of effects by Bonferroni's method.
    """
    priority = generator.permuted(np.indices(experiment.variance.shape)[1], axis=1)
    beside = {
        (f, unit): random_units(experiment.variance[unit[0]], priority[unit[0]], unit, own, controls)
        for f, own in found.items()
        for unit in own
    }
    couples = {f: list(combinations(own[:pairs], 2)) for f, own in found.items()}
    if not beside:
        return {}, {}, 0
    singles = sorted({(unit,) for _, unit in beside} | {(unit,) for others in beside.values() for unit in others})
    doubles = sorted({couple for own in couples.values() for couple in own})
    own_singles = sorted({(unit,) for _, unit in beside})
    stride = experiment.stride(len(singles) + len(doubles))
    total = held_extra(experiment, [*singles, *doubles], experiment.means, stride)
    resampled = held_extra(experiment, own_singles, experiment.drawn, stride)
    direct = direct_extra(experiment, singles, stride)
    scored = experiment.scored(stride)
    on, block = experiment.on[scored], blocks(experiment)[scored]

    def measured(extra: Mapping[Variant, np.ndarray], f: int, variant: Variant) -> Contrast:
        return contrast(extra[variant], on[:, f], block)

    def effect(extra: Mapping[Variant, np.ndarray], f: int, unit: Unit) -> Effect:
        own = measured(extra, f, (unit,))
        others = np.array([measured(extra, f, (other,)).difference for other in beside[f, unit]])
        above = len(others) > 0 and own.difference > max(SMALLEST, others.max())
        return Effect(own, others, bool(above and own.positive(LEVEL / len(beside))))

    def pair(f: int, couple: tuple[Unit, Unit]) -> Pair:
        both = measured(total, f, couple)
        alone = math.fsum(measured(total, f, (unit,)).difference for unit in couple)
        return Pair(*couple, both, both.difference - alone)

    by_unit = {
        (f, unit): Effects(
            total=effect(total, f, unit),
            direct=effect(direct, f, unit) if (unit,) in direct else None,
            resampled=measured(resampled, f, (unit,)),
        )
        for f, unit in beside
    }
    return by_unit, {f: tuple(pair(f, couple) for couple in own) for f, own in couples.items()}, len(on)


def random_units(
    variance: np.ndarray, priority: np.ndarray, unit: Unit, found: Sequence[Unit], count: int
) -> list[Unit]:
    """`count` units of the layer of `unit`, without the `found` ones: of the 2 `count` units whose variance (H,) has
    the smallest absolute log ratio to that of `unit`, those with the smallest random `priority` (H,).

    All units of a layer use the same priority, so that units of similar variance share most of their controls.
    """
    layer, own = unit
    distance = abs(np.log(np.maximum(variance, 1e-30) / max(float(variance[own]), 1e-30)))
    distance[[j for k, j in found if k == layer]] = np.inf
    near = [int(j) for j in np.argsort(distance, kind="stable")[: 2 * count] if distance[j] < np.inf]
    return [(layer, j) for j in sorted(near, key=priority.__getitem__)[:count]]


def held_extra(
    experiment: Experiment, variants: Sequence[Variant], values: np.ndarray, stride: int
) -> dict[Variant, np.ndarray]:
    """The extra loss of each variant, held at the `values`, at each of the tokens `experiment.scored(stride)`."""
    x, y = experiment.passages.inputs(experiment.reading), experiment.passages.targets(experiment.reading)
    losses = held_losses(experiment.network, x, y, [(), *variants], values, experiment.steps(stride))
    extra = (losses[1:] - losses[0]).swapaxes(1, 2).reshape(len(variants), -1)
    return dict(zip(variants, extra))


def direct_extra(experiment: Experiment, variants: Sequence[Variant], stride: int) -> dict[Variant, np.ndarray]:
    """The extra loss, as `held_extra`, of the variants of one unit of the last layer, held only for the scores."""
    top = experiment.network.layer.num_layers - 1
    here = [variant for variant in variants if variant[0][0] == top]
    x, y = experiment.passages.inputs(experiment.reading), experiment.passages.targets(experiment.reading)
    units = [variant[0][1] for variant in here]
    extra = readout_extra(experiment.network, x, y, units, experiment.means, experiment.steps(stride))
    return dict(zip(here, extra.swapaxes(1, 2).reshape(len(here), extra[:1].size)))
