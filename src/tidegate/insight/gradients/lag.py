"""The gradient against the lag: how fast the gradient of one loss decays or grows from step to step back in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tidegate.errors import ArgumentError
from tidegate.insight.figure import Figure
from tidegate.insight.gradients.linear import linearise
from tidegate.insight.gradients.sweep import (
    in_joint_state,
    last_outputs,
    log_norm,
    loss_gradients,
    next_tokens,
    random_directions,
    spread_anchors,
    sweep,
)
from tidegate.insight.recording import Array, record
from tidegate.insight.subject import Data, Model, as_input, as_subject, check_seed, need_steps
from tidegate.insight.threads import one_blas_thread

#: The gradient counts as lost where its mean is below this share of its value at lag 0.
LOST = 0.01


@dataclass(frozen=True, eq=False, repr=False)
class GradientLag(Figure):
    """G(k) = mean over anchors i of | dl_i / ds_{t_i - k} |, for the lags k = 0..K, as decimal logarithms.

    l_i is the loss of one target after step t_i; s are the states after a step, with h and c of an LSTM as separate
    coordinates, as in the Jacobian of the joint state. "all" is the joint state of all layers; the other names are
    those of tidegate.trace: h_l0, c_l0, .... All norms are Euclidean.

    lags (K+1,).   log10_mean[name] (K+1,): log10 G(k).   log10_quantiles[name] (3, K+1): of the anchors' norms, at the
    shares `quantiles`.   gain: exp of the slope of ln G over k in K/4..K, the factor per step.   horizon: the largest k
    with G(k) >= 0.01 G(0); `beyond` is true where that is K itself, the longest lag measured.   median_horizon: the
    median over anchors of the same for the gradient of one loss.   anchors: the number of
    losses.   of_loss: False for a layer, which has no loss.   tokens_are: "char", "byte" or "word"; None for a layer or
    a model without a vocabulary.

    Source: the product of Jacobians of Pascanu, Mikolov and Bengio, arXiv:1211.5063, with one loss at a time.
    """

    lags: Array
    log10_mean: Mapping[str, Array]
    log10_quantiles: Mapping[str, Array]
    quantiles: tuple[float, ...]
    gain: float
    horizon: int
    median_horizon: int
    beyond: bool
    anchors: int
    of_loss: bool
    tokens_are: str | None


@one_blas_thread
def gradient_lag(model: Model, data: Data, *, longest: int = 200, anchors: int = 128, seed: int = 0) -> GradientLag:
    """The gradient against the lag. The loss l of a language model is the cross-entropy of the next token; for a layer
    l = u . h is the component of the output in a random direction u.

    data: a text, token indices (T,) or (T, B), or features (T, D) or (T, B, D). K is `longest`; the data
    must have at least K + 2 steps. About `anchors` losses are averaged. The initial states are zero.

    Raises ShapeError for data that are too short.
    """
    if longest < 4 or anchors < 1:
        raise ArgumentError(f"`longest` must be at least 4 and `anchors` at least 1, got {longest} and {anchors}.")
    check_seed(seed)
    subject = as_subject(model)
    x = as_input(subject, data)
    need_steps(x, longest + 2, f"lags up to {longest}", smaller="longest")
    system = linearise(record(subject, x))
    t, b = spread_anchors(len(x) - 1, system.B, anchors, longest)
    h = last_outputs(system)[t, b]
    if subject.head is None:
        dh = random_directions(len(t), h.shape[1], seed)
    else:
        dh = loss_gradients(subject.head, h, next_tokens(x, t, b))
    parts = {"all": slice(None), **named_parts(system.sizes())}
    logs: dict[str, list[Array]] = {name: [] for name in parts}
    for lag in sweep(system, t, b, in_joint_state(system, dh), longest):
        for name, part in parts.items():
            logs[name].append(log_norm(lag, part))
    found = {name: np.array(rows) for name, rows in logs.items()}
    return summary(found, of_loss=subject.head is not None, tokens_are=subject.tokens_are)


def named_parts(sizes: Mapping[str, int]) -> dict[str, slice]:
    """The columns of each state in the joint state."""
    ends = np.cumsum(list(sizes.values())).tolist()
    return {name: slice(end - size, end) for (name, size), end in zip(sizes.items(), ends)}


def summary(logs: Mapping[str, Array], *, of_loss: bool, tokens_are: str | None = None) -> GradientLag:
    """The GradientLag of the logarithms (K+1, A) of the anchors' norms, by state."""
    shares = (0.1, 0.5, 0.9)
    mean = {name: log_mean(rows) for name, rows in logs.items()}
    whole = mean["all"]
    K = len(whole) - 1
    kept = np.flatnonzero(whole >= whole[0] + np.log(LOST))
    horizon = int(kept[-1]) if len(kept) else 0
    return GradientLag(
        lags=np.arange(K + 1),
        log10_mean={name: values / np.log(10) for name, values in mean.items()},
        log10_quantiles={name: quantiles(rows, shares) / np.log(10) for name, rows in logs.items()},
        quantiles=shares,
        gain=gain(whole),
        horizon=horizon,
        median_horizon=int(np.median(last_above(logs["all"]))),
        beyond=horizon == K,
        anchors=logs["all"].shape[1],
        of_loss=of_loss,
        tokens_are=tokens_are,
    )


def last_above(rows: Array) -> Array:
    """For each loss, a column of (K+1, A), the largest lag at which its norm is 1 % of that at lag 0 or more."""
    above = rows >= rows[0] + np.log(LOST)
    return len(rows) - 1 - np.argmax(above[::-1], 0)


def log_mean(rows: Array) -> Array:
    """ln of the mean over the last axis, from logarithms."""
    top = rows.max(-1, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    with np.errstate(divide="ignore"):
        return (np.log(np.exp(rows - top).mean(-1, keepdims=True)) + top)[..., 0]


def quantiles(rows: Array, shares: tuple[float, ...]) -> Array:
    """The quantiles over the last axis, one row for each of `shares`; -inf is smaller than any number."""
    ordered = np.sort(rows, axis=-1)
    places = [min(int(share * rows.shape[-1]), rows.shape[-1] - 1) for share in shares]
    return np.stack([ordered[..., place] for place in places])


def gain(logs: Array) -> float:
    """exp of the slope of ln G(k) over k in K/4..K by least squares; 0 where G is zero somewhere there."""
    K = len(logs) - 1
    k = np.arange(K // 4, K + 1)
    if not np.isfinite(logs[k]).all():
        return 0.0
    return float(np.exp(np.polyfit(k, logs[k], 1)[0]))
