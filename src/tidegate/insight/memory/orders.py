"""N-gram models of each order on the same targets as a recurrent model, and which context lengths they equal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from tidegate.errors import ArgumentError, ShapeError
from tidegate.insight.memory.blocks import Places
from tidegate.insight.memory.context import ContextLosses
from tidegate.insight.recording import Array
from tidegate.text.ngram import COUNTED, witten_bell
from tidegate.text.token_array import TokenArray


@dataclass(frozen=True, eq=False)
class Orders:
    """The n-gram models of order 0, 1, ..., K on the targets; order k predicts a token from the k before it.

    nats, error (K + 1,): the mean loss and its standard error.   best: the order with the lowest loss.
    lead, lead_error: the loss of the best order minus the full-context loss of the recurrent model, and the standard
    error of this paired difference.   undertrained: whether the 95 % interval of the lead is below 0, so that the best
    n-gram model predicts better than the recurrent model.
    equivalent: for each order the least n with which the recurrent model, from the zero state, has at most the loss of
    that order; None if it has a higher loss for all n.
    short: the measured n in 1..K.   excess, excess_error: the loss of the recurrent model after n tokens minus that of
    order n, which reads the same n tokens; the lower of the two curves (zero, donor) is taken.   worse: the n where the
    95 % interval of the excess is above 0. This alone does not show that a model is undertrained: the states
    from which the n tokens are read, zero or a donor, differ from those in training, and a model that is better than
    every order with its full context can still be worse at n = 4.
    counted: the number of training tokens.
    """

    nats: Array
    error: Array
    best: int
    lead: float
    lead_error: float
    undertrained: bool
    equivalent: tuple[int | None, ...]
    short: tuple[int, ...]
    excess: Array
    excess_error: Array
    worse: tuple[int, ...]
    counted: int


def training_tokens(train: TokenArray | Tensor, vocabulary_size: int) -> TokenArray:
    """The last 8,000,000 tokens or fewer, as for the n-gram baseline. ShapeError or ArgumentError if they are not
    indices of the vocabulary."""
    if isinstance(train, Tensor) and (train.dim() != 1 or train.is_floating_point()):
        raise ShapeError(f"`train` must be token indices (N,), got {train.dtype} of shape {tuple(train.shape)}.")
    if len(train) < 2:
        raise ShapeError(f"`train` must have at least 2 tokens, got {len(train)}. Give the whole training text.")
    known = TokenArray.of(train).part(slice(max(0, len(train) - COUNTED), None))
    ends = [(block.min(), block.max()) for block in known.blocks()]
    low, high = int(min(low for low, _ in ends)), int(max(high for _, high in ends))
    if low < 0 or high >= vocabulary_size:
        raise ArgumentError(
            f"`train` must have token indices in 0..{vocabulary_size - 1}, got {low}..{high}. Encode it with the "
            "vocabulary of the model."
        )
    return known


def compare_orders(
    known: TokenArray, x: Tensor, vocabulary_size: int, places: Places, losses: ContextLosses, max_order: int
) -> Orders:
    """The n-gram models counted on the training tokens `known`, which predict x[p] at each p of `places`; x (T,)."""
    found = np.stack([
        nats[places.positions - 1] for nats in witten_bell(known, x, vocabulary_size, max_order=max_order)
    ])  # fmt: skip
    nats, own = found.mean(-1), losses.zero.mean(-1)
    best = int(nats.argmin())
    lead = found[best] - losses.full
    lead_error = float(places.error(lead))
    equal = [losses.lengths[own <= order] for order in nats]
    rows = [i for i, n in enumerate(losses.lengths.tolist()) if n <= max_order]
    short = tuple(losses.lengths[rows].tolist())
    better = [min(losses.zero[i], losses.donor[i], key=np.mean) for i in rows]
    excess = np.stack([own - found[n] for own, n in zip(better, short)]) if rows else np.zeros((0, len(places)))
    error = places.error(excess)
    certain = excess.mean(-1) - places.bound * error > 0
    return Orders(
        nats=nats,
        error=places.error(found),
        best=best,
        lead=float(lead.mean()),
        lead_error=lead_error,
        undertrained=bool(lead.mean() + places.bound * lead_error < 0),
        equivalent=tuple(int(n[0]) if len(n) else None for n in equal),
        short=short,
        excess=excess.mean(-1),
        excess_error=error,
        worse=tuple(n for n, is_worse in zip(short, certain) if is_worse),
        counted=len(known),
    )
