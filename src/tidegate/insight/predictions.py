"""How well a language model predicts: its loss, its accuracy, and the most likely tokens at each step of a passage."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from tidegate.insight.figure import Figure
from tidegate.insight.recording import Array, numpy
from tidegate.insight.subject import Data, Model, as_input, as_subject, need_steps

BLOCK = 1000  # tokens, for the standard errors: over fewer, losses are correlated
BEST = 5


@dataclass(frozen=True, eq=False, repr=False)
class Predictions(Figure):
    """The predictions of the tokens after each step.

    nats: the mean loss per token, with the standard error nats_error.   right: the share of predictions in which the
    token that follows has the highest probability, with the standard error right_error.   among_five: the share in
    which it is among the five tokens of highest probability.   tokens: the number of predictions.
    Standard errors are from the means of blocks of 1,000 tokens or more, or of whole sequences where these are shorter;
    NaN for fewer than two blocks.

    loss (N,): of each token, in nats.   best (N, 5), best_probability (N, 5): the five tokens of highest probability
    after each step. These three arrays are in the order of the text, and None where there was more than one sequence.
    tokens_are: "char", "byte" or "word"; None for a model without a vocabulary.
    """

    nats: float
    nats_error: float
    right: float
    right_error: float
    among_five: float
    tokens: int
    loss: Array | None
    best: Array | None
    best_probability: Array | None
    tokens_are: str | None


@torch.no_grad()
def predictions(model: Model, data: Data) -> Predictions:
    """The predictions of a language model for token indices (T,) or (T, B) or a text, in float64: steps 0..T-2 predict
    the tokens 1..T-1. The initial state is zero."""
    subject = as_subject(model, language_model=True)
    x = as_input(subject, data)
    need_steps(x, 2, "one prediction")
    assert subject.head is not None
    V = subject.head.out_features
    five = min(BEST, V)
    y, _ = subject.layer(x[:-1])
    targets = x[1:]
    loss = np.zeros(targets.shape)
    best, chance = np.zeros((*targets.shape, five), np.int64), np.zeros((*targets.shape, five))
    rows = max(1, 2**22 // (V * x.shape[1]))  # as many as keep the scores of one piece below 2^22 numbers
    for a in range(0, len(targets), rows):
        part = slice(a, a + rows)
        log_p = subject.head(y[part]).log_softmax(-1)
        loss[part] = numpy(-log_p.gather(-1, targets[part, :, None])[..., 0])
        top = log_p.topk(five, -1)
        best[part], chance[part] = numpy(top.indices), numpy(top.values.exp())
    hits = best == numpy(targets)[..., None]
    alone = x.shape[1] == 1
    return Predictions(
        nats=float(loss.mean()),
        nats_error=mean_error(loss),
        right=float(hits[..., 0].mean()),
        right_error=mean_error(hits[..., 0]),
        among_five=float(hits.any(-1).mean()),
        tokens=loss.size,
        loss=loss[:, 0] if alone else None,
        best=best[:, 0] if alone else None,
        best_probability=chance[:, 0] if alone else None,
        tokens_are=subject.tokens_are,
    )


def mean_error(values: Array) -> float:
    """The standard error of the mean of (T, B), from the means of blocks of 1,000 steps or more of a sequence."""
    blocks = np.concatenate([part.mean(0) for part in np.array_split(values, max(1, len(values) // BLOCK))])
    return float(blocks.std(ddof=1) / math.sqrt(len(blocks))) if len(blocks) > 1 else math.nan
