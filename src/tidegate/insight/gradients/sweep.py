"""Backpropagation through time of many separate losses, each of one step, in one backward pass.

With a loss at every step, each step would add its own term to the gradient, and the sum would not show the decay. So
each anchor i has one loss l_i, at step t_i of sequence b_i, and its gradient is one row of the backward pass. After
every step each row is scaled to norm 1 and the logarithm of its norm is kept, so nothing underflows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from tidegate.insight.gradients.linear import Indices, Linearised
from tidegate.insight.recording import Array, numpy


@dataclass(frozen=True)
class Lag:
    """The gradients at lag k: `d` (A, size) times exp(`log_scale`) (A,) is dl_i / ds of the states after step t_i - k.

    `da` (A, Ga*H) times the same factor is the gradient with respect to the projected input of step t_i - k. Rows
    before the first step are zero, with a log_scale of -inf.
    """

    k: int
    log_scale: Array
    d: Array
    da: Array


def sweep(system: Linearised, t: Indices, b: Indices, d: Array, longest: int) -> Iterator[Lag]:
    """The gradients at the lags 0, 1, ..., `longest`, from those with respect to the states after the steps t (A,) of
    the sequences b (A,): d (A, size)."""
    log_scale, d = rescaled(np.zeros(len(t)), d)
    for k in range(longest + 1):
        before, da = system.transpose(np.maximum(t - k, 0), b, d)
        yield Lag(k, log_scale, d, da)
        log_scale, d = rescaled(log_scale, np.where((t > k)[:, None], before, 0))


def rescaled(log_scale: Array, d: Array) -> tuple[Array, Array]:
    """The rows scaled to norm 1, and the logarithms of their factors; rows of zeros remain zero."""
    norm = np.linalg.norm(d, axis=1)
    with np.errstate(divide="ignore"):
        return log_scale + np.log(norm), d / np.where(norm > 0, norm, 1)[:, None]


def log_norm(lag: Lag, part: slice) -> Array:
    """The logarithms (A,) of the norms of the columns `part` of each row."""
    with np.errstate(divide="ignore"):
        return lag.log_scale + np.log(np.linalg.norm(lag.d[:, part], axis=1))


def spread_anchors(T: int, B: int, count: int, first: int) -> tuple[Indices, Indices]:
    """About `count` anchors (t, b), evenly spread over the steps from `first` to T - 1 of all sequences."""
    of_each = max(1, min(T - first, math.ceil(count / B)))
    t = np.unique(np.linspace(first, T - 1, of_each).round().astype(np.int64))
    return np.repeat(t, B), np.tile(np.arange(B), len(t))


def loss_gradients(head: nn.Linear, h: Array, targets: Array) -> Array:
    """dl/dh (A, H) of the cross-entropy l of `targets` (A,) under the scores W h + b: (softmax - one-hot) W."""
    W, scores = numpy(head.weight), head_scores(head, h)
    p = np.exp(scores - scores.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    p[np.arange(len(p)), targets] -= 1
    return p @ W


def head_scores(head: nn.Linear, h: Array) -> Array:
    """The scores of the tokens, W h + b."""
    return h @ numpy(head.weight).T + (0 if head.bias is None else numpy(head.bias))


def in_joint_state(system: Linearised, dh: Array) -> Array:
    """The gradient (A, size) with respect to the joint state, of a loss of the outputs of the last layer."""
    sizes = list(system.sizes().values())
    states = len(system.layers[-1].tangent.step.state)
    start = sum(sizes[: len(sizes) - states])
    found = np.zeros((len(dh), system.size))
    found[:, start : start + dh.shape[1]] = dh
    return found


def last_outputs(system: Linearised) -> Array:
    """The outputs of the last layer, (T, B, H)."""
    own = system.layers[-1].recorded
    return own.states[own.step.state[0]]


def random_directions(count: int, H: int, seed: int) -> Array:
    """Unit vectors (count, H) in uniformly random directions."""
    d = np.random.default_rng(seed).standard_normal((count, H))
    return d / np.linalg.norm(d, axis=1, keepdims=True)


def next_tokens(x: Tensor, t: Indices, b: Indices) -> Array:
    """The token after each anchor."""
    return numpy(x)[t + 1, b]
