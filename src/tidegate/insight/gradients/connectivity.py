"""Connectivity: how much the score of each predicted token depends on each token before it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tidegate.errors import ArgumentError
from tidegate.insight.figure import Figure
from tidegate.insight.gradients.linear import linearise
from tidegate.insight.gradients.sweep import in_joint_state, last_outputs, next_tokens, random_directions, sweep
from tidegate.insight.recording import Array, numpy, record
from tidegate.insight.subject import Data, Model, as_input, as_subject, check_seed, need_steps
from tidegate.insight.threads import one_blas_thread


@dataclass(frozen=True, eq=False, repr=False)
class Connectivity(Figure):
    """strength[i, k] = | d score / d a_{t-k} |, t = steps[i]: how strongly the score (logit, before the softmax) of the
    token that follows step t depends on the input of step t - k.

    The input of a step is a = W x + b, its contribution to every gate of the first layer. For a token W x is one column
    of W, which acts as its embedding. strength is NaN where t - k < 0.
    steps (A,), lags (K+1,), strength (A, K+1).   share (K+1,): the mean over steps of strength[i, k] / sum over k.
    center: the mean lag, sum over k of k * share[k].   of_loss: False for a layer, whose score is the component
    of its output in a random direction.   tokens_are: "char", "byte" or "word"; None for a layer or a model without a
    vocabulary.

    Source: Madsen, Visualizing memorization in RNNs, Distill (2019).
    """

    steps: Array
    lags: Array
    strength: Array
    share: Array
    center: float
    of_loss: bool
    tokens_are: str | None


@one_blas_thread
def connectivity(model: Model, data: Data, *, longest: int = 100, first: int = 0, seed: int = 0) -> Connectivity:
    """The connectivity of the predictions after the steps first, first + 1, ... of one sequence.

    data: one sequence, a text, token indices (T,) or features (T, D); K = `longest`, at most T - 2. The scores
    of all predictions are differentiated in one backward pass, each through `longest` steps.
    """
    if longest < 1:
        raise ArgumentError(f"`longest` must be at least 1, got {longest}.")
    check_seed(seed)
    subject = as_subject(model)
    x = as_input(subject, data)
    need_steps(x, 3, "one prediction that has a past")
    if x.shape[1] != 1 or not 0 <= first <= len(x) - 2:
        raise ArgumentError(
            f"`data` must be one sequence and `first` in 0..{len(x) - 2}, got {x.shape[1]} sequences and {first}."
        )
    longest = min(longest, len(x) - 2)
    system = linearise(record(subject, x))
    t = np.arange(first, len(x) - 1)
    b = np.zeros_like(t)
    if subject.head is None:
        dh = random_directions(len(t), last_outputs(system).shape[-1], seed)
    else:
        dh = numpy(subject.head.weight)[next_tokens(x, t, b)]
    strength = np.full((len(t), longest + 1), np.nan)
    for lag in sweep(system, t, b, in_joint_state(system, dh), longest):
        norm = np.exp(lag.log_scale) * np.linalg.norm(lag.da, axis=1)
        strength[:, lag.k] = np.where(t >= lag.k, norm, np.nan)
    total = np.nansum(strength, 1, keepdims=True)
    share = np.nansum(strength / np.where(total > 0, total, 1), 0) / len(t)
    return Connectivity(
        steps=t,
        lags=np.arange(longest + 1),
        strength=strength,
        share=share,
        center=float(share @ np.arange(longest + 1)),
        of_loss=subject.head is not None,
        tokens_are=subject.tokens_are,
    )
