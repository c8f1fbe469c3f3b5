"""Statistics of the gates: how often each is closed or open, how long a state is kept, which units hardly change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tidegate.calculus.expression import Expression
from tidegate.calculus.ranges import range_of
from tidegate.calculus.tangent import tangent
from tidegate.insight.figure import Figure
from tidegate.insight.recording import Array, Recorded, record
from tidegate.insight.subject import Data, Model, as_input, as_subject
from tidegate.insight.threads import one_blas_thread
from tidegate.nn.state import State

CLOSED, OPEN = 0.1, 0.9
SATURATED = 0.97  # of |tanh|: its derivative is below 0.06 there
DEAD = 0.01  # of the median unit's standard deviation
CONSTANT = 0.001  # of the root mean square of the state
BINS = 50


@dataclass(frozen=True, eq=False, repr=False)
class Gates(Figure):
    """Statistics of every gate and state over all steps and sequences, by the names in tidegate.trace: z_l0, h_l0, ....

    mean, sd (H,): mean and standard deviation of each unit of a gate.   low, high: the range of the gate's values that
    follows from its equation, infinite where it has no bound.   histogram (50,), edges (51,): the numbers of values in
    50 equal bins of that range; where it is unbounded, of the range of the values that occurred.
    closed, open (H,): the share of values below 0.1 and above 0.9, for gates with values in 0..1.
    saturated (H,): the share with |value| > 0.97, for gates with values in -1..1.

    retention[state] (H,): the geometric mean of |ds'/ds| of each unit along the direct path, all matrix products held
    constant: f for an LSTM's c, z for torch's GRU, 1 - z for a cell in which z multiplies the candidate. Only states
    with such a path.
    time_constant[state] (H,): -1 / ln(retention), in steps; infinite where the retention is 1 or more. It is the decay
    without new input to the unit and without the recurrent matrices.
    dead[state]: the units whose standard deviation over time is at most 1 % of the median unit's, or 0.1 % of the root
    mean square of the whole state, so that a state in which every unit is constant counts as dead.
    state_sd[state] (H,): that standard deviation.   values: the number of values of each unit.
    tokens_are: "char", "byte" or "word"; None for a layer or a model without a vocabulary.

    Sources: Karpathy, Johnson and Fei-Fei, arXiv:1506.02078 (shares of saturated gates); Mahto et al., arXiv:2009.12727
    (time constants).
    """

    mean: Mapping[str, Array]
    sd: Mapping[str, Array]
    low: Mapping[str, float]
    high: Mapping[str, float]
    histogram: Mapping[str, Array]
    edges: Mapping[str, Array]
    closed: Mapping[str, Array]
    open: Mapping[str, Array]
    saturated: Mapping[str, Array]
    retention: Mapping[str, Array]
    time_constant: Mapping[str, Array]
    dead: Mapping[str, Array]
    state_sd: Mapping[str, Array]
    values: int
    tokens_are: str | None


@one_blas_thread
def gates(model: Model, data: Data, *, hx: State | None = None, warmup: int = 0) -> Gates:
    """The statistics of the gates of a layer, of any number of layers and directions, or of a language model.

    data: token indices (T,) or (T, B), features (T, D) or (T, B, D), or a text. The first `warmup` steps are left out.
    """
    subject = as_subject(model, one_direction=False)
    x = as_input(subject, data)
    layers = record(subject, x, hx)
    found: dict[str, dict[str, Any]] = {
        name: {} for name in Gates.__dataclass_fields__ if name not in ("values", "tokens_are")
    }
    for own in layers:
        for name, values in own.gates.items():
            add_gate(found, f"{name}_{own.suffix}", own.step.gate[name], values[warmup:])
        for name, values in own.states.items():
            add_state(found, f"{name}_{own.suffix}", name, own, values[warmup:], warmup)
    return Gates(**found, values=(len(x) - warmup) * x.shape[1], tokens_are=subject.tokens_are)


def add_gate(found: dict[str, dict[str, Any]], name: str, equation: Expression, values: Array) -> None:
    """The statistics of one gate, (T, B, H)."""
    rows = values.reshape(-1, values.shape[-1])
    low, high = range_of(equation)
    bounds = (low, high) if np.isfinite([low, high]).all() else (float(rows.min()), float(rows.max()))
    found["mean"][name], found["sd"][name] = rows.mean(0), rows.std(0)
    found["low"][name], found["high"][name] = low, high
    found["histogram"][name], found["edges"][name] = np.histogram(rows, BINS, bounds)
    if (low, high) == (0, 1):
        found["closed"][name], found["open"][name] = (rows < CLOSED).mean(0), (rows > OPEN).mean(0)
    if (low, high) == (-1, 1):
        found["saturated"][name] = (np.abs(rows) > SATURATED).mean(0)


def add_state(
    found: dict[str, dict[str, Any]], name: str, state: str, own: Recorded, values: Array, warmup: int
) -> None:
    """The statistics of one state, (T, B, H)."""
    sd = values.reshape(-1, values.shape[-1]).std(0)
    constant = max(DEAD * float(np.median(sd)), CONSTANT * float(np.sqrt(np.square(values).mean())))
    found["state_sd"][name], found["dead"][name] = sd, np.flatnonzero(sd <= constant)
    kept = tangent(own.step).new[state].get(own.step.old[state])
    if kept is None or own.R is not None:
        return  # no direct path, or one that a projection mixes over the units
    (factor,) = own.evaluate([kept])
    factor = np.broadcast_to(np.abs(factor), (*own.states[state].shape,))[warmup:]
    with np.errstate(divide="ignore"):
        mean_log = np.log(np.maximum(factor, np.finfo(float).tiny)).reshape(-1, sd.size).mean(0)
        found["retention"][name] = np.exp(mean_log)
        found["time_constant"][name] = np.where(mean_log < 0, -1 / np.where(mean_log < 0, mean_log, -1), np.inf)
