"""Correlations of units with features, and their null distribution, which is that of unrelated units and features.

States and features change slowly, so neighbouring positions are not independent and the usual test of a correlation
finds half of all unrelated units significant. Both classes here keep the autocorrelation of the states and of the
features, and remove only the relation between them:

Donors: each passage gets the labels of another passage of the same text, in many random assignments. An effect that
    occurs at the same position of every passage, such as the transient of the states after the warm-up, is part of the
    null distribution too.
Shifts: the labels of a passage are shifted circularly. For texts that are too short for 15 passages. If states and
    labels share a slow trend, this test finds relations that do not exist.

Source: K. D. Harris, "Nonsense correlations in neuroscience" (2020).
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

PASSAGES = 15  # fewer passages have less than 200 pairs of a passage with the labels of another
DONORS, SHIFTS = "donors", "circular shifts"


class Null(Protocol):
    """r (U, F): the correlations of U units with F features. `maxima`: the largest of unrelated units and features."""

    r: np.ndarray

    def maxima(self, counted: np.ndarray) -> np.ndarray:
        """(K, F): the greatest |r| among the units `counted` (U, F), a truth value each, in K cases."""
        ...


def kind_of_null(passages: int) -> str:
    """Donors for 15 passages or more, otherwise circular shifts."""
    return DONORS if passages >= PASSAGES else SHIFTS


def null(x: np.ndarray, y: np.ndarray, cases: int, generator: np.random.Generator) -> Null:
    """The null of states x (M, L, U) and features y (M, L, F) over M passages."""
    return (Donors if kind_of_null(len(x)) == DONORS else Shifts)(x, y, cases, generator)


class Donors:
    """r, and in each of K cases the correlations after a permutation of the passages' labels without fixed points."""

    def __init__(self, x: np.ndarray, y: np.ndarray, cases: int, generator: np.random.Generator) -> None:
        M, L, U = x.shape
        F = y.shape[2]
        labels = standard(y).transpose(1, 0, 2).reshape(L, M * F)
        x = standard(x)
        products = np.stack([passage.T @ labels for passage in x]).reshape(M, U, M, F).transpose(0, 2, 1, 3)
        self.products = np.ascontiguousarray(products) / np.float32(M * L)  # (passage, labels of passage, U, F)
        self.r = np.clip(self.products[np.arange(M), np.arange(M)].sum(0, dtype=np.float64), -1, 1)
        self.orders = np.stack([derangement(M, generator) for _ in range(cases)])

    def maxima(self, counted: np.ndarray) -> np.ndarray:
        places = np.arange(len(self.products))
        return np.stack(
            [np.where(counted, abs(self.products[places, order].sum(0)), 0).max(0) for order in self.orders]
        )


class Shifts:
    """r, and in each of K cases the correlations after a circular shift of the labels within every passage, by a random
    number of positions, at least a tenth of the passage."""

    def __init__(self, x: np.ndarray, y: np.ndarray, cases: int, generator: np.random.Generator) -> None:
        self.x, self.y = standard(x), standard(y)
        M, L = x.shape[:2]
        self.r = np.clip(np.einsum("mlu,mlf->uf", self.x, self.y, optimize=True, dtype=np.float64) / (M * L), -1, 1)
        self.shifts = generator.integers(max(1, L // 10), L - L // 10 + 1, cases)

    def maxima(self, counted: np.ndarray) -> np.ndarray:
        M, L, U = self.x.shape
        states = self.x.reshape(M * L, U)
        moved = [np.roll(self.y, shift, 1).reshape(M * L, -1) for shift in self.shifts]
        return np.stack([np.where(counted, abs(states.T @ y), 0).max(0) for y in moved]) / (M * L)


def standard(values: np.ndarray) -> np.ndarray:
    """values (M, L, C) with mean 0 and variance 1 in each column, float32; a constant column is 0."""
    values = values if values.dtype.kind == "f" else values.astype(np.float64)
    mean = values.mean((0, 1), dtype=np.float64)
    centred = (values - mean.astype(values.dtype)).astype(np.float32, copy=False)
    spread = np.sqrt(np.square(centred).mean((0, 1), dtype=np.float64))
    varies = spread > 1e-6 * np.maximum(1e-6, abs(mean))
    return centred * np.where(varies, 1 / np.where(varies, spread, 1), 0).astype(np.float32)


def derangement(count: int, generator: np.random.Generator) -> np.ndarray:
    """A random permutation of 0..count-1 that leaves no element in its place."""
    while True:
        order = generator.permutation(count)
        if (order != np.arange(count)).all():
            return order


def p_values(r: np.ndarray, maxima: np.ndarray) -> np.ndarray:
    """p (U, F) = (1 + the cases whose maximum is at least |r|) / (1 + all cases): corrected for the number of units."""
    return (1 + (maxima[:, None] >= abs(r)).sum(0)) / (1 + len(maxima))


def holm(p: np.ndarray) -> np.ndarray:
    """p (U, F), corrected for the number of units, also corrected for the number of features.

    Holm's procedure on the smallest p of each feature; the factor of a feature applies to all of its units. The maximum
    over features is not suitable: slowly changing features have much larger correlations by chance, so the units of
    other features would not be found.
    """
    found, so_far = np.empty_like(p, float), 0.0
    for place, f in enumerate(np.argsort(p.min(0), kind="stable")):
        found[:, f] = np.minimum(1, np.maximum(so_far, p[:, f] * (p.shape[1] - place)))
        so_far = found[:, f].min()
    return found
