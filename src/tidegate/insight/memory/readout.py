"""The linear readout: which past tokens can be computed linearly from the state."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from tidegate.insight.figure import Figure
from tidegate.insight.memory.runner import Indices
from tidegate.insight.recording import Array

CLASSES = 256  # the most frequent tokens are one class each; all others are one class together
PENALTIES = (1e-6, 1e-4, 1e-2, 1.0, 100.0)  # in units of the mean variance of a state
STATES, PER_FEATURE = 6000, 12  # states that are used: 6000, or 12 for each feature if that is more
USED = (1 / 2, 1 / 6, 1 / 3)  # their shares: for fitting, choosing the penalty, measuring
FIT, VALIDATION = 0.5, 0.15  # shares of the text; the rest is the part on which R^2 is measured
BLOCKS = 20  # blocks of the measured part, for the standard error


@dataclass(frozen=True, eq=False, repr=False)
class Readout(Figure):
    """The share R^2(k) of the variance of the token x[t - k] that is linear in the state after x[t].

    lags (K,): k = 0, 1, ....   r2, error (K,): R^2 = 1 - sum ||y - y'||^2 / sum ||y - m||^2, and its standard error,
    with y the one-hot vector of x[t - k], y' its ridge regression on the states, and m the mean of y over the fitted
    positions. R^2 is 0 for a prediction that is no better than the frequencies of the tokens; small negative values are
    estimation errors.
    from_token (K,): R^2 of the regression on the one-hot vector of x[t] instead of the state: how well x[t - k] can be
    predicted without memory, because neighbouring tokens of a text depend on each other.
    capacity: sum_k max(R^2(k), 0), in tokens: the memory capacity of Jaeger (2001) for one-hot inputs; a lower bound if
    R^2 is still above 0 at the longest lag.   token_capacity: the same sum of `from_token`.
    penalties (K,): the chosen penalties, in units of the mean variance of a state.   states: the names of the states
    that are the features.   fitted, measured: the numbers of positions.   classes: the number of classes of tokens.
    tokens_are: "char", "byte" or "word", None where the vocabulary is not known.

    Source: H. Jaeger, Short term memory in echo state networks, GMD report 152 (2001).
    """

    lags: Indices
    r2: Array
    error: Array
    from_token: Array
    capacity: float
    token_capacity: float
    penalties: Array
    states: tuple[str, ...]
    fitted: int
    measured: int
    classes: int
    tokens_are: str | None


def parts(begin: int, end: int, lags: int) -> tuple[range, range, range]:
    """The positions for fitting, for choosing the penalty, and for measuring, in text order and `lags` apart."""
    room = end - begin - 2 * lags
    a, b = begin + int(FIT * room), begin + int((FIT + VALIDATION) * room)
    return range(begin, a), range(a + lags, b + lags), range(b + 2 * lags, end)


def readout_positions(
    begin: int, end: int, lags: int, features: int, random: np.random.Generator
) -> tuple[Indices, tuple[int, int]]:
    """Positions in begin..end - 1 and their `split`, the arguments of `linear_readout`: drawn at random from each part;
    all positions of a part that has too few."""
    total, found = max(STATES, PER_FEATURE * features), []
    for part, share in zip(parts(begin, end, lags), USED):
        drawn = random.choice(len(part), min(len(part), int(total * share)), replace=False)
        found.append(part.start + np.sort(drawn).astype(np.int64))
    return np.concatenate(found), (len(found[0]), len(found[0]) + len(found[1]))


def linear_readout(
    features: Tensor, x: Tensor, positions: Indices, split: tuple[int, int], lags: int, names: tuple[str, ...],
    tokens_are: str | None,
) -> Readout:  # fmt: skip
    """R^2(k) for k = 0, ..., lags - 1.

    features (P, F): the states after x[p], for each p of `positions` (P,) in increasing order; x (T,). The first
    `split[0]` rows are for fitting, those up to `split[1]` for choosing the penalty, and the others for measuring R^2.
    With the chosen penalty the regression is fitted again on the first two parts.
    """
    classes, count = as_classes(x)
    here = torch.from_numpy(positions)
    state = Ridge(features.double(), split, count)
    token = Ridge(one_hot(classes[here], count).double(), split, count)
    found = [state.regress(classes[here - k]) for k in range(lags)]
    r2 = np.array([each[0] for each in found])
    from_token = np.array([token.regress(classes[here - k])[0] for k in range(lags)])
    return Readout(
        lags=np.arange(lags),
        r2=r2,
        error=np.array([each[1] for each in found]),
        from_token=from_token,
        capacity=float(np.maximum(r2, 0).sum()),
        token_capacity=float(np.maximum(from_token, 0).sum()),
        penalties=np.array([each[2] for each in found]),
        states=names,
        fitted=split[1],
        measured=len(positions) - split[1],
        classes=count,
        tokens_are=tokens_are,
    )


def as_classes(x: Tensor) -> tuple[Tensor, int]:
    """x with its tokens numbered by decreasing count, the rare ones as one class; and the number of classes."""
    _, number, counts = torch.unique(x, return_inverse=True, return_counts=True)
    rank = torch.empty_like(counts)
    rank[counts.argsort(descending=True, stable=True)] = torch.arange(len(counts))
    return rank[number].clamp(max=CLASSES), min(len(counts), CLASSES + 1)


@dataclass(frozen=True, eq=False)
class Rotated:
    """Features (P, F) less their means over the first `rows` rows, along the eigenvectors of the covariance of those
    rows; `values` (F,) are the eigenvalues times the number of rows."""

    Z: Tensor
    values: Tensor
    rows: int

    @classmethod
    def of(cls, X: Tensor, rows: int) -> Rotated:
        centred = X - X[:rows].mean(0)
        values, Q = torch.linalg.eigh(centred[:rows].T @ centred[:rows])
        return cls(centred @ Q, values.clamp(min=0), rows)

    def damped(self, penalty: float) -> Tensor:
        """The eigenvalues plus the penalty, in units of their mean; never 0."""
        unit = self.values.mean().clamp(min=torch.finfo(torch.float64).tiny)
        return self.values + penalty * unit


class Ridge:
    """Ridge regression of one-hot targets Y (P, V) on the same features for many targets: one eigendecomposition.

    y' = m + Z (Z^T Z + penalty * unit * I)^-1 Z^T Y, with Z the centred features of the rows of the fit, m the mean of
    Y over them, and the unit their number times the mean variance of a feature.
    """

    def __init__(self, features: Tensor, split: tuple[int, int], classes: int) -> None:
        self.split, self.classes = split, classes
        self.first, self.final = (Rotated.of(features, rows) for rows in split)

    def regress(self, y: Tensor) -> tuple[float, float, float]:
        """R^2 of the classes y (P,) on the measured rows, its standard error, and the penalty that was chosen."""
        a, b = self.split
        tried = [squares.sum() for squares, _ in self.residuals(self.first, y, PENALTIES, a, b)]
        penalty = PENALTIES[int(np.argmin(tried))]
        ((squares, total),) = self.residuals(self.final, y, (penalty,), b, len(y))
        r2 = 1 - squares.sum() / total.sum()
        return float(r2), ratio_error(squares, total, 1 - r2), penalty

    def residuals(
        self, fit: Rotated, y: Tensor, penalties: tuple[float, ...], begin: int, end: int
    ) -> Iterator[tuple[Array, Array]]:
        """For each penalty ||y - y'||^2 and ||y - m||^2 of the rows begin..end - 1, fitted on the first `fit.rows`."""
        known = y[: fit.rows]
        m = torch.bincount(known, minlength=self.classes).double() / fit.rows
        right = fit.Z.new_zeros(self.classes, fit.Z.shape[1]).index_add_(0, known, fit.Z[: fit.rows])
        off = one_hot(y[begin:end], self.classes) - m
        total = (off**2).sum(1).numpy()
        for penalty in penalties:
            guess = fit.Z[begin:end] @ (right / fit.damped(penalty)).T
            yield ((off - guess) ** 2).sum(1).numpy(), total


def ratio_error(over: Array, under: Array, ratio: float) -> float:
    """The standard error of sum(over) / sum(under), from equal blocks in text order (the delta method)."""
    n = len(over) // BLOCKS * BLOCKS
    off = (over[:n] - ratio * under[:n]).reshape(BLOCKS, -1).sum(1)
    return float(off.std(ddof=1) * math.sqrt(BLOCKS) / under[:n].sum())
