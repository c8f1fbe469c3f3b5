"""The n-gram baseline: what counting alone achieves on the same text. A network worth its time is below it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from tidegate.text.dataset import Part

MAX_ORDER = 6


@dataclass(frozen=True)
class Baseline:
    """The best counts model on a held-out part. Order k predicts a token from the k before it.

    `nats` per predicted token, `bpc` bits per character, `by_order` the nats of the orders 0, 1, 2, ...
    """

    order: int
    nats: float
    bpc: float
    by_order: tuple[float, ...]

    @property
    def ppl(self) -> float:
        """Perplexity per token, exp(nats)."""
        return math.exp(self.nats)


def ngram_baseline(train: Part, heldout: Part, vocabulary_size: int, *, max_order: int = MAX_ORDER) -> Baseline:
    """The best model of order 0 to `max_order`, counted on `train`, on the predicted tokens of `heldout`."""
    costs = witten_bell(train.ids, heldout.ids, vocabulary_size, max_order=max_order)
    by_order = tuple(float(nats.mean()) for nats in costs)
    order = int(np.argmin(by_order))
    return Baseline(order, by_order[order], heldout.bpc(by_order[order]), by_order)


def witten_bell(
    train: torch.Tensor, heldout: torch.Tensor, vocabulary_size: int, *, max_order: int = MAX_ORDER
) -> Iterator[np.ndarray]:
    """For the orders 0, 1, ..., `max_order`: the nats (M - 1,) of each of heldout[1:], M = len(heldout).

    Interpolated counts. With c(h w) how often token w followed context h in `train`, c(h) = sum_w c(h w), and
    t(h) how many different tokens followed h,

        P_k(w | h) = (c(h w) + t(h) P_{k-1}(w | h')) / (c(h) + t(h)),    P_{-1} = 1 / V,

    where h is the k tokens before w, and h' is h without its first. A context that `train` never continued,
    or that would reach back before the held-out part, leaves P_{k-1} as it is. Each P_k sums to 1 over the
    V = `vocabulary_size` tokens.

    With N = len(train), time is O(N log N) per order, memory about 60 N bytes.

    Source: I. Witten, T. Bell, The zero-frequency problem (1991), method C; interpolated as in S. Chen,
    J. Goodman, An empirical study of smoothing techniques for language modeling (1998).
    """
    words, tail = train.numpy(force=True), heldout.numpy(force=True)
    p = np.full(len(tail), 1 / vocabulary_size)
    # the context of each place, as the number of its k-gram in train; -1 where train has no such k-gram
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
