"""The n-gram baseline: a model of counts of short token sequences, evaluated on the same text."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from tidegate.text.dataset import Part
from tidegate.text.progress import Progress
from tidegate.text.token_array import TokenArray

MAX_ORDER = 6
COUNTED = 8_000_000  # training tokens that are counted at most: about 0.5 GB of memory, about 10 s
SCORED = 2_000_000  # held-out tokens that are predicted at most


@dataclass(frozen=True)
class Baseline:
    """The best n-gram model on a held-out part. Order k predicts a token from the k before it.

    `nats` per predicted token, `bpc` bits per character, `by_order` the nats of the orders 0, 1, 2, ... It was counted
    on the last `counted` of `counted_of` training tokens and evaluated on the first `scored` of `scored_of` held-out
    tokens: all of them unless the text is large.
    """

    order: int
    nats: float
    bpc: float
    by_order: tuple[float, ...]
    counted: int = 0
    counted_of: int = 0
    scored: int = 0
    scored_of: int = 0

    @property
    def ppl(self) -> float:
        """Perplexity per token, exp(nats)."""
        return math.exp(self.nats)

    def figures(self) -> dict[str, float | str]:
        """The best model and what it was counted and scored on, for a summary."""
        return {
            "order": self.order, "ppl": self.ppl, "bpc": self.bpc, "counted": self.counted,
            "counted_of": self.counted_of, "scored": self.scored, "scored_of": self.scored_of, "sample": self.sample,
        }  # fmt: skip

    @property
    def sample(self) -> str:
        """On which tokens it was counted and scored, in words; empty where on all."""
        found = []
        if self.counted < self.counted_of:
            found.append(f"counted on the last {self.counted:,} of {self.counted_of:,} training tokens")
        if self.scored < self.scored_of:
            found.append(f"scored on the first {self.scored:,} of {self.scored_of:,} held-out tokens")
        return " and ".join(found)


def ngram_baseline(
    train: Part, heldout: Part, vocabulary_size: int, *, max_order: int = MAX_ORDER, progress: Progress | None = None
) -> Baseline:
    """The best model of order 0 to `max_order`, counted on `train`, on the predicted tokens of `heldout`.

    Of more than 8,000,000 training tokens the last 8,000,000 are counted, those before the held-out part; of more than
    2,000,000 held-out tokens the first 2,000,000 are predicted. The result states these numbers.
    """
    known = TokenArray.of(train.ids).part(slice(max(0, len(train) - COUNTED), None))
    tail = TokenArray.of(heldout.ids).part(slice(0, SCORED))
    by_order: list[float] = []
    with (progress or Progress()).track("Counting n-grams", max_order + 1) as advance:
        for nats in witten_bell(known, tail, vocabulary_size, max_order=max_order):
            by_order.append(float(nats.mean()))
            advance(1)
    order = int(np.argmin(by_order))
    return Baseline(
        order, by_order[order], heldout.bpc(by_order[order]), tuple(by_order),
        counted=len(known), counted_of=len(train), scored=len(tail), scored_of=len(heldout),
    )  # fmt: skip


def witten_bell(
    train: TokenArray | torch.Tensor,
    heldout: TokenArray | torch.Tensor,
    vocabulary_size: int,
    *,
    max_order: int = MAX_ORDER,
) -> Iterator[np.ndarray]:
    """For the orders 0, 1, ..., `max_order`: the nats (M - 1,) of each of heldout[1:], M = len(heldout).

    Interpolated counts. With c(h w) how often token w followed context h in `train`, c(h) = sum_w c(h w), and
    t(h) how many different tokens followed h,

        P_k(w | h) = (c(h w) + t(h) P_{k-1}(w | h')) / (c(h) + t(h)),    P_{-1} = 1 / V,

    where h is the k tokens before w, and h' is h without its first. For a context that does not occur before another
    token in `train`, or that would begin before the held-out part, P_k = P_{k-1}. Each P_k sums to 1 over the
    V = `vocabulary_size` tokens.

    With N = len(train), time is O(N log N) per order, memory about 60 N bytes.

    Source: I. Witten, T. Bell, The zero-frequency problem (1991), method C; interpolated as in S. Chen,
    J. Goodman, An empirical study of smoothing techniques for language modeling (1998).
    """
    words, tail = (tokens[:].numpy(force=True) for tokens in (train, heldout))
    p = np.full(len(tail), 1 / vocabulary_size)
    # the context at each position, as the index of its k-gram in train; -1 where train has no such k-gram
    context, tail_context = np.zeros(len(words), np.int64), np.zeros(len(tail), np.int64)
    for k in range(max_order + 1):
        if len(context) and len(tail_context):
            grams, number, count = np.unique(
                context * vocabulary_size + words[k:], return_inverse=True, return_counts=True
            )
            h = grams // vocabulary_size
            total = np.bincount(h, count, minlength=context.max() + 2)  # c(h); 0 for h = -1
            different = np.bincount(h, minlength=len(total))  # t(h)

            wanted = tail_context * vocabulary_size + tail[k:]  # negative, and so not in grams, for h = -1
            place = np.minimum(np.searchsorted(grams, wanted), len(grams) - 1)
            known = grams[place] == wanted
            c, t, n = np.where(known, count[place], 0), different[tail_context], total[tail_context]
            p[k:] = np.where(n > 0, (c + t * p[k:]) / np.maximum(n + t, 1), p[k:])

            context, tail_context = number[:-1], np.where(known, place, -1)[:-1]
        yield -np.log(p[1:])
