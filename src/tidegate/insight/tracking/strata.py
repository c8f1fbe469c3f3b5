"""Correlations between positions that have the same previous and the same current token."""

from __future__ import annotations

import numpy as np

SMALLEST = 10  # positions of a stratum that is counted
DETERMINED = 0.01  # the two tokens determine a feature if less than this share of its variance is within strata


def strata(previous: np.ndarray, current: np.ndarray) -> np.ndarray:
    """The stratum of each position, numbered from 0; -1 in strata of fewer than 10 positions. Shape as the tokens."""
    pairs = previous.astype(np.int64) * (int(current.max()) + 1) + current
    _, number, count = np.unique(pairs, return_inverse=True, return_counts=True)
    return np.where(count[number] >= SMALLEST, number, -1).reshape(current.shape)


def within(values: np.ndarray, stratum: np.ndarray) -> np.ndarray:
    """values (..., C) minus the mean of their stratum, and 0 where the stratum is -1."""
    flat, number = values.reshape(-1, values.shape[-1]).astype(np.float64), stratum.ravel()
    kept = number >= 0
    sizes = np.maximum(1, np.bincount(number[kept], minlength=1))
    found = np.zeros_like(flat)
    for c in range(flat.shape[1]):
        means = np.bincount(number[kept], flat[kept, c], len(sizes)) / sizes
        found[kept, c] = flat[kept, c] - means[number[kept]]
    return found.reshape(values.shape)


def share_within(values: np.ndarray, stratum: np.ndarray) -> np.ndarray:
    """The share of the variance of values (..., C), over the positions in a stratum, that is within strata: (C,), NaN
    where they are constant."""
    kept = values[stratum >= 0].astype(np.float64)
    if not len(kept):
        return np.full(values.shape[-1], np.nan)
    total = ((kept - kept.mean(0)) ** 2).sum(0)
    inside = (within(values, stratum) ** 2).reshape(-1, values.shape[-1]).sum(0)
    return np.divide(inside, total, out=np.full(len(total), np.nan), where=total > 0)
