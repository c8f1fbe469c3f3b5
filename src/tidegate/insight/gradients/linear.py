"""The step Jacobian of a stack of layers along a recorded sequence, as products with vectors.

With s_t the states of all layers after step t, one after the other ([h; c] for an LSTM), J_t = ds_t / ds_{t-1}. All
states must be included, c as well as h: for a random LSTM the Jacobian of h alone has a largest Lyapunov exponent of
-1.9 nats per step, that of the joint state -0.5. J_t is not formed: the partial derivatives of `calculus.tangent` are
evaluated at all steps at once, and J_t V and V^T J_t need one matrix product for each stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.calculus.expression import Expression
from tidegate.calculus.tangent import Slopes, Tangent, tangent
from tidegate.insight.recording import Array, Recorded

#: An array for each state of each layer, layers outermost.
States = list[dict[str, Array]]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class LinearLayer:
    """One layer: its matrices, and `slopes`, the partial derivatives, each (T, B, H) or a number if it is constant."""

    recorded: Recorded
    tangent: Tangent
    slopes: Mapping[Expression, Array]

    def multiply(self, t: int, old: Mapping[str, Array], dx: Array | None) -> dict[str, Array]:
        """The changes of the new states, from those of the old states, (H, B, p) each, and of the input (D, B, p)."""
        own, step = self.recorded, self.tangent.step
        B, p = old[step.state[0]].shape[1:]
        given: dict[Expression, Array] = {step.old[s]: V for s, V in old.items()}
        if dx is not None:
            given |= dict(zip(step.a.values(), product(own.W, dx, len(step.inputs))))
        for stage, slopes, U in zip(step.stages, self.tangent.operands, own.U):
            dp = self.total(slopes, t, given, (U.shape[1], B, p))
            given |= {step.q[g]: dq for g, dq in zip(stage.gates, product(U, dp, len(stage.gates)))}
        H = len(own.W) // len(step.inputs)
        new = {s: self.total(slopes, t, given, (H, B, p)) for s, slopes in self.tangent.new.items()}
        if own.R is not None:
            new[step.state[0]] = product(own.R, new[step.state[0]], 1)[0]
        return new

    def total(self, slopes: Slopes, t: int, given: Mapping[Expression, Array], shape: tuple[int, ...]) -> Array:
        """sum over leaves of slope * change; leaves without a change are constant."""
        found = np.zeros(shape)
        for x, slope in slopes.items():
            if x in given:
                value = self.slopes[slope]
                found += (value[t].T[:, :, None] if value.ndim == 3 else value[..., None, None]) * given[x]
        return found

    def transpose(self, t: Indices, b: Indices, new: Mapping[str, Array]) -> tuple[dict[str, Array], Array]:
        """The gradients with respect to the old states (A, H) and to the projected input (A, Ga*H), from those with
        respect to the new states, (A, H), of step t[i] of sequence b[i]."""
        own, step = self.recorded, self.tangent.step
        A, H = len(t), len(own.W) // len(step.inputs)
        found: dict[Expression, Array] = {x: np.zeros((A, H)) for x in (*step.a.values(), *step.q.values())}
        found |= {step.old[s]: np.zeros_like(d) for s, d in new.items()}

        def add(slopes: Slopes, dy: Array) -> None:
            for x, slope in slopes.items():
                if x in found:  # the gradients of vectors are not needed
                    value = self.slopes[slope]
                    found[x] += (value[t, b] if value.ndim == 3 else value) * dy

        for s, slopes in self.tangent.new.items():
            add(slopes, new[s] @ own.R if own.R is not None and s == step.state[0] else new[s])
        for stage, slopes, U in reversed(list(zip(step.stages, self.tangent.operands, own.U))):
            add(slopes, np.concatenate([found[step.q[g]] for g in stage.gates], -1) @ U)
        da = np.concatenate([found[x] for x in step.a.values()], -1)
        return {s: found[step.old[s]] for s in step.state}, da


@dataclass(frozen=True)
class Linearised:
    """All layers in their order. T steps of B sequences; `size` entries of the joint state."""

    layers: tuple[LinearLayer, ...]
    T: int
    B: int

    @property
    def size(self) -> int:
        return sum(self.sizes().values())

    def sizes(self) -> dict[str, int]:
        """The number of units of each state, by its name in a trace: h_l0, c_l0, ...."""
        return {
            f"{s}_{layer.recorded.suffix}": a.shape[-1]
            for layer in self.layers
            for s, a in layer.recorded.states.items()
        }

    def multiply(self, t: int, V: Array) -> Array:
        """J_t V of every sequence: V and the result are (B, size, p)."""
        found: States = []
        dx = None
        for layer, old in zip(self.layers, self.split(V.transpose(1, 0, 2))):
            found.append(layer.multiply(t, old, dx))
            dx = found[-1][layer.tangent.step.state[0]]
        return np.concatenate([d for states in found for d in states.values()]).transpose(1, 0, 2)

    def transpose(self, t: Indices, b: Indices, d: Array) -> tuple[Array, Array]:
        """(d J, the gradients with respect to the projected inputs W x + b of the first layer), row by row.

        d (A, size): row i is the gradient with respect to the states after step t[i] of sequence b[i].
        """
        states = self.split(d.T)
        old: States = []
        above, da = None, np.zeros(0)
        for layer, new in reversed(list(zip(self.layers, states))):
            rows = {s: part.T for s, part in new.items()}
            if above is not None:
                h = layer.tangent.step.state[0]
                rows[h] = rows[h] + da @ above.recorded.W
            before, da = layer.transpose(t, b, rows)
            old.insert(0, before)
            above = layer
        return np.concatenate([part for own in old for part in own.values()], -1), da

    def dense(self, t: int, b: int) -> Array:
        """The matrix J_t of sequence b, (size, size)."""
        rows = np.full(self.size, t), np.full(self.size, b)
        return self.transpose(*rows, np.eye(self.size))[0]

    def split(self, joint: Array) -> States:
        """The slices that belong to each state, of an array whose first axis is the joint state."""
        parts = iter(np.split(joint, np.cumsum(list(self.sizes().values()))[:-1]))
        return [{s: next(parts) for s in layer.tangent.step.state} for layer in self.layers]


def linearise(layers: list[Recorded]) -> Linearised:
    """The step Jacobians of a stack of layers of one direction along a recorded sequence."""
    found = []
    for own in layers:
        rule = tangent(own.step)
        expressions = rule.expressions()
        found.append(LinearLayer(own, rule, dict(zip(expressions, map(np.asarray, own.evaluate(expressions))))))
    T, B = next(iter(layers[0].states.values())).shape[:2]
    return Linearised(tuple(found), T, B)


def product(M: Array, V: Array, parts: int) -> Array:
    """M V, with V (columns of M, B, p) and the rows of the result in `parts` equal blocks, (parts, rows, B, p)."""
    return (M @ V.reshape(len(V), -1)).reshape(parts, -1, *V.shape[1:])
