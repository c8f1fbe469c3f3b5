"""Step Jacobians and their long products: how much one step, and many steps, stretch a small change of the state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tidegate.errors import ArgumentError
from tidegate.insight.figure import Figure
from tidegate.insight.gradients.linear import Linearised, linearise
from tidegate.insight.gradients.sweep import spread_anchors
from tidegate.insight.recording import Array, record
from tidegate.insight.subject import Data, Model, as_input, as_subject
from tidegate.insight.threads import one_blas_thread
from tidegate.nn.state import State


@dataclass(frozen=True, eq=False, repr=False)
class Jacobians(Figure):
    """J_t = ds_t / ds_{t-1} of the joint state s of all layers (h and c of an LSTM), at S steps of the sequences.

    at (S, 2): step and sequence.   sigma_max, sigma_min, spectral_radius (S,): the largest and smallest singular value
    and the largest absolute eigenvalue.   mean_log_sigma (S,): the mean of the natural logarithms of all singular
    values, ln |det J| / size, in nats per step; -inf where J is singular.
    matrices (S, size, size): J itself, or None.

    lags (L,): lengths k of the products P = J_t J_{t-1} ... J_{t-k+1}.   log10_product (S, L): the decimal logarithm of
    the largest singular value of P; NaN where t < k - 1.
    states: the number of units of each state, in the order of the joint state.

    Source: Pascanu, Mikolov and Bengio, arXiv:1211.5063. The conditions there on the norm of the recurrent matrix are
    bounds; the numbers here are the values along the given sequences.
    """

    at: Array
    sigma_max: Array
    sigma_min: Array
    spectral_radius: Array
    mean_log_sigma: Array
    matrices: Array | None
    lags: Array
    log10_product: Array
    states: Mapping[str, int]


@one_blas_thread
def jacobians(
    layer: Model, x: Data, *, steps: int = 8, longest: int = 128, hx: State | None = None, keep: bool = False
) -> Jacobians:
    """The step Jacobians at `steps` evenly spread positions of the sequences x, and the products of k of them for
    k = 1, 2, 4, ..., `longest` (or T, if that is less).

    x: token indices (T,) or (T, B), features (T, D) or (T, B, D), or a text. With `keep` the result contains the
    matrices. The run time grows with the cube of the size of the state.
    """
    if steps < 1 or longest < 1:
        raise ArgumentError(f"`steps` and `longest` must be at least 1, got {steps} and {longest}.")
    subject = as_subject(layer)
    data = as_input(subject, x)
    system = linearise(record(subject, data, hx))
    longest = min(longest, system.T)
    t, b = spread_anchors(system.T, system.B, steps, longest - 1)
    chosen = np.unique(np.linspace(0, len(t) - 1, min(steps, len(t))).round().astype(int))
    t, b = t[chosen], b[chosen]
    matrices = np.stack([system.dense(i, j) for i, j in zip(t, b)])
    sigma = np.linalg.svd(matrices, compute_uv=False)
    with np.errstate(divide="ignore"):
        mean_log = np.log(sigma).mean(-1)
    lags = powers_of_two(longest)
    return Jacobians(
        at=np.stack([t, b], 1),
        sigma_max=sigma[:, 0],
        sigma_min=sigma[:, -1],
        spectral_radius=np.abs(np.linalg.eigvals(matrices)).max(-1),
        mean_log_sigma=mean_log,
        matrices=matrices if keep else None,
        lags=lags,
        log10_product=np.stack([long_product(system, int(i), int(j), lags) for i, j in zip(t, b)]),
        states=system.sizes(),
    )


def powers_of_two(longest: int) -> Array:
    """1, 2, 4, ..., and `longest`."""
    return np.unique([*(2**i for i in range(longest.bit_length())), longest])


def long_product(system: Linearised, t: int, b: int, lags: Array) -> Array:
    """log10 of the largest singular value of J_t ... J_{t-k+1}, for each k of `lags`.

    The product is scaled after every factor, so it does not underflow.
    """
    P, log_scale = np.eye(system.size), 0.0
    found = np.full(len(lags), np.nan)
    for k in range(1, min(int(lags[-1]), t + 1) + 1):
        at = np.full(system.size, t - k + 1), np.full(system.size, b)
        P = system.transpose(*at, P)[0]
        norm = np.linalg.norm(P)
        if norm == 0:
            found[np.searchsorted(lags, k) :] = -np.inf
            break
        P, log_scale = P / norm, log_scale + np.log(norm)
        if k in lags:
            top = np.linalg.norm(P, 2)
            found[np.searchsorted(lags, k)] = (log_scale + np.log(top)) / np.log(10)
    return found
