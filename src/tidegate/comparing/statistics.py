"""Statistics of a comparison over seeds. Tests, distributions and intervals are SciPy's.

The runs of two arms are paired by their seeds, which give both the same training sequences. Sources: the exact
sign-flip test, Fisher, The Design of Experiments (1935); Holm, Scandinavian Journal of Statistics 6 (1979); Wilson,
Journal of the American Statistical Association 22 (1927).
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ALPHA = 0.05
POWER = 0.8
#: Up to this many seeds all 2^n signs are tried; beyond, this many of them, drawn at random from a fixed seed.
EXACT_SEEDS, DRAWN = 14, 19_999


def sign_flip(differences: Array) -> float:
    """The two-sided p-value of paired differences (n,) under the hypothesis that the two arms are exchangeable, so that
    every sign of every difference is equally likely. Exact for n <= 14; its smallest value is 2 / 2^n."""
    from scipy.stats import permutation_test

    n = len(differences)
    if n < 2 or not np.any(differences):
        return 1.0
    found = permutation_test(
        (differences,), np.mean, permutation_type="samples", vectorized=True,
        n_resamples=2**n if n <= EXACT_SEEDS else DRAWN, rng=np.random.default_rng(0),
    )  # fmt: skip
    return float(found.pvalue)


def minimum_seeds(pairs: int) -> int:
    """The least n whose smallest p-value passes Holm's first step over `pairs` pairs: 2 / 2^n <= 0.05 / pairs.

    6 seeds for one pair, 7 for three, 9 for ten.
    """
    return math.ceil(math.log2(2 * pairs / ALPHA))


def holm(p: Sequence[float]) -> tuple[list[float], list[float]]:
    """Adjusted p-values, and the level at which each p-value was tested: 0.05 / (m - k + 1) for the k-th smallest of m
    up to the first that is not rejected, and for all after it the level of that one.

    Written here because SciPy has no Holm correction (`false_discovery_control` bounds another error rate).
    """
    m = len(p)
    adjusted, levels = [1.0] * m, [ALPHA] * m
    largest, level, rejecting = 0.0, ALPHA / max(1, m), True
    for k, i in enumerate(sorted(range(m), key=lambda i: p[i])):
        largest = max(largest, min(1.0, (m - k) * p[i]))
        if rejecting:
            level = ALPHA / (m - k)
            rejecting = p[i] <= level
        adjusted[i], levels[i] = largest, level
    return adjusted, levels


def mean_interval(differences: Array, level: float) -> tuple[float, float]:
    """The t interval of the mean of differences (n,), which misses the mean with probability `level`."""
    from scipy.stats import t

    n = len(differences)
    if n < 2:
        return -math.inf, math.inf
    mean, error = float(differences.mean()), float(differences.std(ddof=1) / math.sqrt(n))
    if error == 0:
        return mean, mean
    low, high = t.interval(1 - level, n - 1, loc=mean, scale=error)
    return float(low), float(high)


def detectable(differences: Array, level: float) -> float:
    """The true mean difference that a t test of n differences with this standard deviation finds at `level` in 80 % of
    comparisons: its power by the noncentral t distribution is 0.8."""
    from scipy.optimize import root_scalar
    from scipy.stats import nct, t

    n = len(differences)
    if n < 2:
        return math.inf
    error, limit = float(differences.std(ddof=1) / math.sqrt(n)), float(t.isf(level / 2, n - 1))

    def lacking(shift: float) -> float:
        return POWER - float(nct.sf(limit, n - 1, shift))

    above = limit
    while lacking(above) > 0:
        above *= 2
    return error * float(root_scalar(lacking, bracket=(0.0, above)).root)


def wilson(count: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % limits of a share of which `count` of n were seen."""
    from scipy.stats import binomtest

    found = binomtest(count, n).proportion_ci(1 - ALPHA, "wilson")
    return float(found.low), float(found.high)


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """The lower quartile, the median and the upper quartile."""
    low, median, high = np.quantile(np.asarray(values, float), (0.25, 0.5, 0.75))
    return float(low), float(median), float(high)
