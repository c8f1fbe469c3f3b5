"""A recorded sequence: all operands of the equations of each layer at every step, in NumPy float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tidegate.calculus import Step, evaluate
from tidegate.calculus.expression import Expression
from tidegate.engines import Weights
from tidegate.engines.reference.functions import OPERATIONS
from tidegate.insight.subject import Subject
from tidegate.nn.stack import directions, read_weights, suffixes
from tidegate.nn.state import State
from tidegate.nn.tracing import trace

Array = NDArray[Any]


@dataclass(frozen=True)
class Recorded:
    """One layer and direction, with the steps of its sequence along the first axis.

    suffix: "l0", "l0_reverse", "l1", ....   leaves: the value of each leaf of the step, (T, B, H); (H,) for vectors.
    states: each state after the step, (T, B, H), by name; gates: each gate's value.
    W (Ga*H, D), U[k] of stage k (gates of the stage * H, P), and R (P, H) of a projected output or None.
    """

    suffix: str
    step: Step
    leaves: Mapping[Expression, Array]
    states: Mapping[str, Array]
    gates: Mapping[str, Array]
    W: Array
    U: tuple[Array, ...]
    R: Array | None

    def evaluate(self, roots: Sequence[Expression]) -> list[Array]:
        """The values of expressions of the step, (T, B, H) or broadcastable to it."""
        return evaluate(roots, self.leaves, OPERATIONS)


@torch.no_grad()
def record(subject: Subject, x: Tensor, hx: State | None = None) -> list[Recorded]:
    """Run the layer over x, (T, B) class indices or (T, B, D), from the initial state hx or zeros."""
    layer, step = subject.layer, subject.step
    traced = trace(layer, x, hx)
    count, found, y = directions(layer), [], x
    for i, (suffix, weights) in enumerate(zip(suffixes(layer), read_weights(layer))):
        states = {s: numpy(traced[f"{s}_{suffix}"]) for s in step.state}
        first = initial(hx, step, i, states)
        reverse = i % count == 1
        old = {s: shifted(states[s], first[s], reverse=reverse) for s in step.state}
        gates = {g: numpy(traced[f"{g}_{suffix}"]) for g in step.gates}
        found.append(recorded(suffix, step, weights, y, old, states, gates))
        if i % count == count - 1:
            y = torch.from_numpy(np.concatenate([r.states[step.state[0]] for r in found[-count:]], -1))
    return found


def recorded(
    suffix: str,
    step: Step,
    weights: Weights,
    x: Tensor,
    old: Mapping[str, Array],
    states: Mapping[str, Array],
    gates: Mapping[str, Array],
) -> Recorded:
    """All leaves of one layer and direction, from its input and its states before each step."""
    W, w_hh = numpy(weights.w_ih), numpy(weights.w_hh)
    H = len(W) // len(step.inputs)
    b, c = (
        np.zeros(n * H) if bias is None else numpy(bias)
        for n, bias in ((len(step.inputs), weights.b_ih), (len(step.products), weights.b_hh))
    )
    a = (numpy(x) @ W.T if x.is_floating_point() else W.T[numpy(x)]) + b
    leaves: dict[Expression, Array] = dict(zip(step.a.values(), np.split(a, len(step.inputs), -1)))
    leaves |= {step.old[s]: old[s] for s in step.state}
    if weights.vectors is not None:
        leaves |= dict(zip(step.v.values(), numpy(weights.vectors).reshape(len(step.vectors), H)))
    U: list[Array] = []
    for stage in step.stages:
        rows = np.concatenate([np.arange(H) + step.products.index(g) * H for g in stage.gates])
        U.append(w_hh[rows])
        (p,) = evaluate([stage.operand], leaves, OPERATIONS)
        q = p @ w_hh[rows].T + c[rows]
        leaves |= {step.q[g]: part for g, part in zip(stage.gates, np.split(q, len(stage.gates), -1))}
    R = None if weights.w_hr is None else numpy(weights.w_hr)
    return Recorded(suffix, step, leaves, states, gates, W, tuple(U), R)


def initial(hx: State | None, step: Step, i: int, states: Mapping[str, Array]) -> dict[str, Array]:
    """The initial states (B, H) of layer and direction i."""
    if hx is None:
        return {s: np.zeros_like(states[s][0]) for s in step.state}
    given = hx if isinstance(hx, tuple) else (hx,)
    return {s: numpy(part[i]) for s, part in zip(step.state, given)}


def shifted(states: Array, first: Array, *, reverse: bool) -> Array:
    """The states before each step, from those after it."""
    return np.concatenate([states[1:], first[None]]) if reverse else np.concatenate([first[None], states[:-1]])


def numpy(tensor: Tensor) -> NDArray:
    """The tensor as an array, floating-point numbers in float64."""
    tensor = tensor.detach().cpu()
    return (tensor.double() if tensor.is_floating_point() else tensor).numpy()
