"""Real-time recurrent learning: the gradients of BPTT, computed in one forward pass.

With each state s_t its derivatives ds_t/dw are computed, for every entry w of every parameter, input and initial state,
so dL/dw is known at the end of the sequence. The arithmetic is that of dual numbers: a value and its derivatives along
N directions. It is exact up to rounding and costs as much as N forward passes, so it is for small H. It shares with
`bptt` the traced step and the partial derivatives of `functions.py`, and nothing with the Adjoint.

Source: Williams and Zipser, Neural Computation 1 (1989).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.calculus import evaluate
from tidegate.calculus.expression import Expression
from tidegate.engines.reference.functions import FUNCTIONS, Array, Function
from tidegate.engines.reference.problem import GROUPS, Gradients, Problem


@dataclass(frozen=True)
class Dual:
    """A value (B, H) and its slope (N, B, H), the derivatives along N directions; axes of size 1 broadcast."""

    value: Array
    slope: Array

    def __add__(self, other: Dual) -> Dual:
        return Dual(self.value + other.value, self.slope + other.slope)

    def __matmul__(self, other: Dual) -> Dual:
        return Dual(self.value @ other.value, self.slope @ other.value + self.value @ other.slope)

    def where(self, kept: NDArray[np.bool_], other: Dual) -> Dual:
        return Dual(np.where(kept, self.value, other.value), np.where(kept, self.slope, other.slope))


ZERO = Dual(np.zeros(()), np.zeros(()))


def on_duals(function: Function) -> Callable[..., Dual]:
    """The function on dual numbers, by the chain rule."""

    def apply(*args: Dual) -> Dual:
        y = function.compute(*(x.value for x in args))
        slopes = function.slopes(y, *(x.value for x in args))
        return Dual(y, sum((slope * x.slope for slope, x in zip(slopes, args)), np.zeros(())))

    return apply


DUAL: Mapping[str, Callable[..., Dual]] = {
    "constant": lambda number: Dual(np.asarray(number), np.zeros(())),
    **{name: on_duals(function) for name, function in FUNCTIONS.items()},
}


class Directions:
    """N directions, one per entry of everything that a gradient is computed for, numbered in the order of the calls."""

    def __init__(self, count: int) -> None:
        self.count, self.used = count, 0

    def along(self, array: Array) -> tuple[slice, Array]:
        """The next directions, one per entry of `array`, and their slopes (N, *shape)."""
        mine = slice(self.used, self.used + array.size)
        self.used = mine.stop
        slope = np.zeros((self.count, array.size))
        slope[mine] = np.eye(array.size)
        return mine, slope.reshape(self.count, *array.shape)


def count_directions(problem: Problem) -> int:
    """N: the entries of the parameters, of one sequence's inputs and of one initial state."""
    T, _, D = problem.x.shape
    parameters = sum(array.size for group in GROUPS for array in getattr(problem.parameters, group).values())
    return parameters + T * D + sum(state.shape[1] for state in problem.states.values())


def rtrl(problem: Problem, d_outputs: Array, d_final: Mapping[str, Array]) -> Gradients:
    """The gradients of L = sum(outputs * d_outputs) + sum over states of sum(final * d_final), in one forward pass.

    Sequences are independent, so one direction serves an input or an initial state of all sequences at once.
    """
    step, (T, _, D) = problem.step, problem.x.shape
    directions = Directions(count_directions(problem))
    where: dict[tuple[str, str], slice] = {}
    P: dict[tuple[str, str], Dual] = {}
    for group in GROUPS:
        for name, array in getattr(problem.parameters, group).items():
            full = array if array.ndim == 2 else array[None]
            where[group, name], slope = directions.along(full)
            P[group, name] = Dual(full, slope)
    states: dict[str, Dual] = {}
    for s, array in problem.states.items():
        where["state", s], slope = directions.along(array[:1])
        states[s] = Dual(array, slope)
    where["x", ""], along_x = directions.along(np.zeros((T, 1, D)))

    dL = np.zeros((directions.count, problem.x.shape[1]))
    for t in problem.times():
        alive, kept = problem.active[t, :, None], ~problem.resets[t, :, None]
        x = Dual(problem.x[t], along_x[:, t])
        value: dict[Expression, Dual] = {step.v[n]: P["v", n] for n in step.vectors}
        value |= {step.old[s]: states[s].where(kept, ZERO) for s in step.state}
        value |= {step.a[g]: x @ P["W", g] + P["b", g] for g in step.inputs}
        for stage in step.stages:
            (p,) = evaluate([stage.operand], value, DUAL)
            value |= {step.q[g]: p @ P["U", g] + P["c", g] for g in stage.gates}
        new = dict(zip(step.state, evaluate(list(step.new.values()), value, DUAL)))
        new |= {s: new[s] @ P["R", s] for s in problem.parameters.R}
        states = {s: new[s].where(alive, states[s]) for s in step.state}
        dL += (states[step.state[0]].slope * np.where(alive, d_outputs[t], 0)).sum(-1)
    for s, d in d_final.items():
        dL += (states[s].slope * d).sum(-1)

    def shaped(group: str, name: str, array: Array) -> Array:
        return dL[where[group, name]].sum(-1).reshape(array.shape)

    return Gradients(
        x=dL[where["x", ""]].reshape(T, D, -1).transpose(0, 2, 1),
        states={s: dL[where["state", s]].T for s in step.state},
        **{
            group: {name: shaped(group, name, a) for name, a in getattr(problem.parameters, group).items()}
            for group in GROUPS
        },
    )
