"""Which units follow which features: found on one text, confirmed on another."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from tidegate.insight.tracking.null import holm, null, p_values, standard
from tidegate.insight.tracking.results import TrackedUnit
from tidegate.insight.tracking.sample import Sample
from tidegate.insight.tracking.states import Network, unit_states
from tidegate.insight.tracking.strata import DETERMINED, share_within, within

LEVEL = 0.05  # of each test


def found(
    network: Network, a: Sample, chosen: Sequence[int], *, top: int, cases: int, generator: np.random.Generator
) -> dict[int, list[TrackedUnit]]:
    """For each of the `chosen` features up to `top` units whose r on A is significant, the greatest |r| first.
    A unit with several states is listed once, with the state of the greatest |r|.

    p is corrected for the number of units with the maximum of |r| over all units, and for the number of features by
    Holm's method.
    """
    if not chosen:
        return {}
    here = null(a.states, a.features[:, :, list(chosen)], cases, generator)
    p = holm(p_values(here.r, here.maxima(np.ones_like(here.r, bool))))
    columns, by_feature = network.columns(), {}
    for k, f in enumerate(chosen):
        own: dict[tuple[int, int], TrackedUnit] = {}
        for u in np.argsort(-abs(here.r[:, k]), kind="stable"):
            layer, state, unit = map(int, columns[u])
            if p[u, k] > LEVEL or len(own) == top:
                break
            r = float(here.r[u, k])
            own.setdefault((layer, unit), unconfirmed(layer, unit, network.step.state[state], r, float(p[u, k])))
        by_feature[f] = list(own.values())
    return by_feature


def unconfirmed(layer: int, unit: int, state: str, r: float, p: float) -> TrackedUnit:
    """A unit that was found on A and not yet tested on B."""
    nan = float("nan")
    return TrackedUnit(layer, unit, state, r, p, nan, 1.0, nan, nan, confirmed=False)


def confirmed(
    network: Network,
    b: Sample,
    candidates: Mapping[int, Sequence[TrackedUnit]],
    *,
    cases: int,
    generator: np.random.Generator,
) -> dict[int, list[TrackedUnit]]:
    """The candidates of each feature with r, p and the correlation within strata on B.

    p is corrected for the number of candidates of the feature, and for the number of features with candidates.
    """
    features = [f for f, own in candidates.items() if own]
    if not features:
        return {f: [] for f in candidates}
    place = {tuple(column): u for u, column in enumerate(network.columns().tolist())}
    column = {
        (f, k): place[unit.layer, network.step.state.index(unit.state), unit.unit]
        for f in features
        for k, unit in enumerate(candidates[f])
    }
    used = sorted(set(column.values()))
    counted = np.zeros((len(used), len(features)), bool)
    for (f, _), u in column.items():
        counted[used.index(u), features.index(f)] = True
    states, values, stratum = b.states[:, :, used], b.features[:, :, features], b.strata
    plain = tested(states, values, counted, cases, generator)
    undetermined = share_within(values, stratum) >= DETERMINED
    inside = tested(
        within(states, stratum), within(values, stratum) * undetermined, counted & undetermined, cases, generator
    )
    result: dict[int, list[TrackedUnit]] = {f: [] for f in candidates}
    for i, f in enumerate(features):
        for k, unit in enumerate(candidates[f]):
            u = used.index(column[f, k])
            r, p = float(plain[0][u, i]), float(plain[1][u, i])
            r_within, p_within = (float(inside[0][u, i]), float(inside[1][u, i])) if undetermined[i] else (np.nan,) * 2
            agree = r * unit.r_find > 0 and p <= LEVEL
            if undetermined[i]:
                agree = agree and r_within * r > 0 and p_within <= LEVEL
            result[f].append(
                dataclasses.replace(unit, r=r, p=p, r_within=r_within, p_within=p_within, confirmed=bool(agree))
            )
    return result


def tested(
    states: np.ndarray, values: np.ndarray, counted: np.ndarray, cases: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """r and p (U, F) of the `counted` (U, F) units, with p corrected for the number of features with such units."""
    here = null(states, values, cases, generator)
    p, some = np.ones_like(here.r), counted.any(0)
    if some.any():
        single = np.where(counted, p_values(here.r, here.maxima(counted)), 1.0)
        p[:, some] = holm(single[:, some])
    return here.r, p


def best_untrained(network: Network, b: Sample) -> np.ndarray:
    """The greatest |r| of any unit of the network with each feature on B, (F,)."""
    states = unit_states(network, b.passages.inputs(b.reading), b.passages.warmup)
    M, L = states.shape[:2]
    r = np.einsum("mlu,mlf->uf", standard(states), standard(b.features), optimize=True) / (M * L)
    return abs(r).max(0)
