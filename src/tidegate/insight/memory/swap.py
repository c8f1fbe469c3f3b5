"""The swap test: how much the prediction changes when one past token is replaced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tidegate.errors import ArgumentError
from tidegate.insight.figure import Figure
from tidegate.insight.memory.blocks import Places
from tidegate.insight.memory.runner import AT_ONCE, Indices, Runner, States, at, ending_before
from tidegate.insight.memory.threshold import stays_below
from tidegate.insight.recording import Array

FADED = 0.01  # nats


@dataclass(frozen=True, eq=False, repr=False)
class Swap(Figure):
    """The effect of replacing x[t - k] on the prediction of x[t], as a function of the lag k.

    lags (N,).   kl, kl_error (N,): the mean of KL(p_t || p'_t) = sum_w p_t(w) ln(p_t(w) / p'_t(w)) in nats, and its
    standard error, with p_t the probabilities on the text and p'_t those after the replacement.
    fades: the least measured lag from which on the upper end of the 95 % interval of KL stays below 0.01 nats; None
    where there is none.
    change, change_error (N,): the mean Euclidean norm of the change of the state from which x[t] is predicted, all
    states of all layers together.   norm: the mean norm of that state.
    targets: their number.   tokens_are: "char", "byte" or "word", None where the vocabulary is not known.
    """

    lags: NDArray[np.int64]
    kl: Array
    kl_error: Array
    fades: int | None
    change: Array
    change_error: Array
    norm: float
    targets: int
    tokens_are: str | None


def swap_test(
    runner: Runner,
    x: Tensor,
    places: Places,
    lags: NDArray[np.int64],
    reach: Callable[[Indices], States],
    random: np.random.Generator,
    advance: Callable[[int], None],
    tokens_are: str | None,
) -> Swap:
    """Replace x[t - k] by another token, for each t of `places` and each lag k >= 1; x (T,).

    reach(p): the recorded states after x[..p]. The model runs from the state at t - k - 1 over k tokens, of which the
    first is replaced by another token than x[t - k], drawn with the frequencies of the tokens in the text.
    """
    t, kl, change = places.positions, [], []
    before = reach(t - 1)
    for k in lags.tolist():
        window = ending_before(x, t, k)
        window[0] = another(window[0], x, random)
        after = runner.read(window, reach(t - k - 1))
        kl.append(divergence(runner, before, after))
        change.append(norms([a - b for a, b in zip(after, before)]))
        advance(k)
    kls, changes = np.stack(kl), np.stack(change)
    error = places.error(kls)
    return Swap(
        lags=lags,
        kl=kls.mean(-1),
        kl_error=error,
        fades=stays_below(lags, kls.mean(-1) + places.bound * error, FADED),
        change=changes.mean(-1),
        change_error=places.error(changes),
        norm=float(norms(before).mean()),
        targets=len(t),
        tokens_are=tokens_are,
    )


def another(tokens: Tensor, x: Tensor, random: np.random.Generator) -> Tensor:
    """For each of `tokens` (M,) a different token drawn from x. Raises ArgumentError if x has only one token."""
    if (x == x[0]).all():
        raise ArgumentError(f"`data` must have at least 2 different tokens, got {len(x)} times the index {int(x[0])}.")
    found, same = tokens.clone(), torch.ones(len(tokens), dtype=torch.bool)
    while same.any():
        found[same] = x[torch.from_numpy(random.integers(len(x), size=int(same.sum())))]
        same = found == tokens
    return found


def divergence(runner: Runner, states: States, others: States) -> Array:
    """KL(p || p') in nats of the next token's probabilities, row by row."""
    found = []
    for rows in torch.arange(states[0].shape[1]).split(max(1, AT_ONCE // runner.head.out_features)):
        p, q = (runner.log_p(at(each, rows)) for each in (states, others))
        found.append((p.exp() * (p - q)).sum(-1))
    return torch.cat(found).numpy()


def norms(states: States | list[Tensor]) -> Array:
    """The Euclidean norm over all states of all layers, (M,)."""
    return torch.sqrt(sum((part.double() ** 2).sum((0, 2)) for part in states)).numpy()  # type: ignore[arg-type]
