"""The loss of a token as a function of how many of the tokens before it the model has read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from tidegate.errors import ArgumentError
from tidegate.insight.memory.blocks import Places
from tidegate.insight.memory.runner import Indices, Runner, States, at, ending_before
from tidegate.insight.recording import Array


@dataclass(frozen=True, eq=False)
class ContextLosses:
    """Losses of the targets x[p], in nats, in the order of `positions` (M,).

    lengths (N,): the numbers n of tokens read.   zero (N, M): after the last n tokens, from the zero state.
    donor (N, M): the same, but from the state before another target, whose index is donors[i] (M,) and differs by at
    least a quarter of the number of targets.
    full (M,): after all tokens before the target, or at least the last `context` of them.
    """

    lengths: NDArray[np.int64]
    zero: Array
    donor: Array
    full: Array
    donors: Indices
    context: int


def context_lengths(longest: int) -> NDArray[np.int64]:
    """1, 2, 3, 4, 6, 8, 12, 16, 24, ... up to `longest`, which is always the last."""
    if longest < 1:
        raise ArgumentError(f"`longest` must be at least 1, got {longest}.")
    steps = {2**i * odd // 2 for i in range(1, longest.bit_length() + 1) for odd in (2, 3)} | {1}
    return np.array(sorted({n for n in steps if n < longest} | {longest}))


def context_losses(
    runner: Runner,
    x: Tensor,
    places: Places,
    states: States,
    read: Indices,
    lengths: NDArray[np.int64],
    random: np.random.Generator,
    advance: Callable[[int], None],
) -> ContextLosses:
    """The losses of x[p] at each p of `places`, for every length n; x (T,).

    states: those before each target, built from `read` (M,) tokens. Row i of the runs reads x[p - n], ..., x[p - 1]:
    sum(lengths) steps of M rows for each of the two curves. `advance` is called with the number of steps
    done.
    """
    positions = places.positions
    y, M = x[positions], len(positions)
    donors = (np.arange(M) + random.integers(-(-M // 4), M - M // 4, M)) % M
    unrelated = at(states, donors)
    zero, donor = [], []
    for n in lengths.tolist():
        window = ending_before(x, positions, n)
        zero.append(runner.nats(runner.read(window), y))
        donor.append(runner.nats(runner.read(window, unrelated), y))
        advance(2 * n)
    return ContextLosses(lengths, np.stack(zero), np.stack(donor), runner.nats(states, y), donors, int(read.min()))
