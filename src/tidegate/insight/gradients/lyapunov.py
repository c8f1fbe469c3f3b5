"""Lyapunov exponents: the average growth, per step, of small changes of the state along a real sequence."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tidegate.errors import ArgumentError
from tidegate.insight.figure import Figure
from tidegate.insight.gradients.linear import Linearised, linearise
from tidegate.insight.recording import Array, record
from tidegate.insight.subject import Data, Model, as_input, as_subject, check_seed, need_steps
from tidegate.insight.threads import one_blas_thread
from tidegate.nn.state import State

#: A growth factor below this is replaced by it: a closed gate gives 0, whose logarithm is -infinity.
FLOOR = 1e-300
BLOCK = 25  # steps of a block, for the standard error


@dataclass(frozen=True, eq=False, repr=False)
class Lyapunov(Figure):
    """The k largest Lyapunov exponents, in nats per step, of the joint state along the given sequences.

    exponents (k,): lambda_i = mean over steps and sequences of ln R_t[i, i], in J_t Q_{t-1} = Q_t R_t.
    standard_error (k,): from the means of blocks of at least 25 steps; NaN where there is only one block.
    of_sequence (B, k): the exponents of each sequence alone.   halves (2, k): of the first and the second half.
    condition: exp(lambda_1 - lambda_k), the factor per step by which the condition number of the long product of
    Jacobians grows within these k directions.   floored (k,): the share of steps whose factor was below 1e-300.
    time_constant: -1 / lambda_1 in steps, infinite where lambda_1 >= 0.
    steps, sequences, warmup: the number of steps averaged, the number of sequences, and the number of steps left out at
    the beginning of each.   size: the number of entries of the joint state, which is also that of all its exponents.
    tokens_are: "char", "byte" or "word"; None for a layer or a model without a vocabulary.

    lambda_1 < 0: small changes, and gradients, decay; near 0: they keep their size; > 0: they grow: the network is
    chaotic.
    """

    exponents: Array
    standard_error: Array
    of_sequence: Array
    halves: Array
    condition: float
    floored: Array
    time_constant: float
    steps: int
    sequences: int
    warmup: int
    size: int
    tokens_are: str | None


@one_blas_thread
def lyapunov(
    layer: Model, x: Data, *, k: int | None = None, warmup: int = 100, hx: State | None = None, seed: int = 0
) -> Lyapunov:
    """The `k` largest exponents (None: 16, or all if there are fewer) along the sequences x.

    x: token indices (T,) or (T, B), features (T, D) or (T, B, D), or a text. The first `warmup` steps are
    left out: in them the state moves away from its initial value `hx` (zeros), and the directions turn to the fastest
    growing ones. A QR decomposition in float64 follows every step; J_t Q is computed from the equations, without J_t.

    Raises ShapeError for fewer than `warmup` + 2 steps, ArgumentError for a k out of range.

    Sources: Benettin, Galgani, Giorgilli and Strelcyn, Meccanica 15 (1980); for recurrent networks Engelken, Wolf and
    Abbott, arXiv:2006.02427; Vogt, Puelma Touzel, Shlizerman and Lajoie, arXiv:2006.14123.
    """
    check_seed(seed)
    subject = as_subject(layer)
    data = as_input(subject, x)
    if warmup < 0:
        raise ArgumentError(f"`warmup` must be at least 0, got {warmup}.")
    need_steps(data, warmup + 2, f"{warmup} steps of warm-up and 2 that are measured")
    system = linearise(record(subject, data, hx))
    size = system.size
    if k is not None and not 1 <= k <= size:
        raise ArgumentError(f"`k` must be in 1..{size}, the entries of the joint state, got {k}.")
    logs, floored = growth(system, min(16, size) if k is None else k, warmup, seed)
    return summary(logs, floored, warmup, size, subject.tokens_are)


def growth(system: Linearised, k: int, warmup: int, seed: int) -> tuple[Array, Array]:
    """ln R_t[i, i] (T - warmup, B, k), and a mask of the entries that were below FLOOR."""
    start = np.random.default_rng(seed).standard_normal((system.B, system.size, k))
    Q = np.linalg.qr(start)[0]
    logs = np.zeros((system.T - warmup, system.B, k))
    floored = np.zeros(logs.shape, bool)
    for t in range(system.T):
        Q, R = np.linalg.qr(system.multiply(t, Q))
        if t >= warmup:
            factor = np.abs(np.diagonal(R, axis1=1, axis2=2))
            floored[t - warmup] = factor < FLOOR
            logs[t - warmup] = np.log(np.maximum(factor, FLOOR))
    return logs, floored


def summary(logs: Array, floored: Array, warmup: int, size: int, tokens_are: str | None) -> Lyapunov:
    """The Lyapunov of ln R_t[i, i] (T, B, k)."""
    T, B, _ = logs.shape
    exponents = logs.mean((0, 1))
    order = np.argsort(-exponents)
    logs, floored, exponents = logs[..., order], floored[..., order], exponents[order]
    top = float(exponents[0])
    return Lyapunov(
        exponents=exponents,
        standard_error=block_error(logs),
        of_sequence=logs.mean(0),
        halves=np.stack([logs[: T // 2].mean((0, 1)), logs[T // 2 :].mean((0, 1))]),
        condition=math.exp(min(top - float(exponents[-1]), 700.0)),
        floored=floored.mean((0, 1)),
        time_constant=-1 / top if top < 0 else math.inf,
        steps=T,
        sequences=B,
        warmup=warmup,
        size=size,
        tokens_are=tokens_are,
    )


def block_error(logs: Array) -> Array:
    """The standard error of the mean of (T, B, k) over T and B, from the means of blocks of at least 25 steps."""
    T, _, k = logs.shape
    blocks = [part.mean(0) for part in np.array_split(logs, max(1, T // BLOCK))]
    means = np.concatenate(blocks).reshape(-1, k)
    if len(means) < 2:
        return np.full(k, np.nan)
    return means.std(0, ddof=1) / math.sqrt(len(means))
