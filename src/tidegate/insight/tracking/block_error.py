"""Means over positions of a text, and their standard errors from means over blocks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Contrast:
    """The mean where a feature is on, the mean elsewhere, and their difference, each with its standard error.

    low, high: the 95 % interval of the difference. blocks: the number of blocks. All numbers are NaN where the feature
    is on everywhere or nowhere, and the errors where there are fewer than 2 blocks.
    """

    on: float
    on_error: float
    off: float
    off_error: float
    difference: float
    error: float
    low: float
    high: float
    blocks: int

    def positive(self, level: float) -> bool:
        """Whether the two-sided interval of the difference with the confidence 1 - level lies above 0."""
        return self.blocks > 1 and self.difference > self.error * student(self.blocks - 1, 1 - level)


def contrast(values: np.ndarray, on: np.ndarray, block: np.ndarray) -> Contrast:
    """The Contrast of values (N,) with the feature `on` (N,); `block` (N,) numbers the blocks of positions from 0.

    The mean where the feature is on is the ratio of a sum to a count. Its error is that of a ratio over n independent
    blocks: the residuals of block b are (sum_b - mean count_b) / count, and the squared error is n / (n - 1) times the
    sum of their squares. The residuals of the difference are the differences of both residuals. The interval is that of
    Student's t with n - 1 degrees of freedom.

    Source: W. G. Cochran, Sampling Techniques, 3rd edition (1977), on ratio estimators.
    """
    n = int(block.max()) + 1
    if not on.any() or on.all():
        return Contrast(*[math.nan] * 8, blocks=n)
    means, residuals = [], []
    for here in (on, ~on):
        count = np.bincount(block[here], minlength=n)
        total = np.bincount(block[here], values[here], minlength=n)
        mean = total.sum() / count.sum()
        means.append(float(mean))
        residuals.append((total - mean * count) / count.sum())
    errors = [
        math.sqrt(n / (n - 1) * float((own**2).sum())) if n > 1 else math.nan
        for own in (*residuals, residuals[0] - residuals[1])
    ]
    difference = means[0] - means[1]
    margin = errors[2] * student(n - 1) if n > 1 else math.nan
    return Contrast(
        means[0], errors[0], means[1], errors[1], difference, errors[2], difference - margin, difference + margin, n
    )


def student(freedom: int, confidence: float = 0.95) -> float:
    """The t for which Student's t of `freedom` degrees of freedom is in -t..t with the probability `confidence`."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + confidence) / 2))
