"""Real-time recurrent learning: the gradients of BPTT, found going forward only.

Beside each state s_t travels its derivative ds_t/dw along every entry w of every parameter, input and initial state, so
dL/dw is complete when the sequence is. The arithmetic is that of dual numbers: a value carries its derivatives along
N directions. It is exact, it shares nothing with the adjoint, and it costs N forward passes, so it is for small H.

Source: Williams and Zipser, Neural Computation 1 (1989).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.calculus import evaluate
from tidegate.calculus.expression import Expression
from tidegate.engines.reference.functions import Array, sigmoid
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


def function(compute: Callable[[Array], Array], derivative: Callable[[Array, Array], Array]) -> Callable[[Dual], Dual]:
    """y = f(x) on dual numbers, from f and its derivative as a function of x and y."""

    def apply(x: Dual) -> Dual:
        y = compute(x.value)
        return Dual(y, derivative(x.value, y) * x.slope)

    return apply


def larger(x: Dual, y: Dual) -> Dual:
    share = (1 + np.sign(x.value - y.value)) / 2
    return Dual(np.maximum(x.value, y.value), share * x.slope + (1 - share) * y.slope)


DUAL: Mapping[str, Callable[..., Dual]] = {
    "constant": lambda number: Dual(np.asarray(number), np.zeros(())),
    "add": lambda x, y: x + y,
    "sub": lambda x, y: Dual(x.value - y.value, x.slope - y.slope),
    "mul": lambda x, y: Dual(x.value * y.value, x.slope * y.value + x.value * y.slope),
    "div": lambda x, y: Dual(x.value / y.value, (x.slope * y.value - x.value * y.slope) / y.value**2),
    "maximum": larger,
    "neg": function(np.negative, lambda x, y: -np.ones_like(x)),
    "exp": function(np.exp, lambda x, y: y),
    "log": function(np.log, lambda x, y: 1 / x),
    "log1p": function(np.log1p, lambda x, y: 1 / (1 + x)),
    "sqrt": function(np.sqrt, lambda x, y: 0.5 / y),
    "abs": function(np.abs, lambda x, y: np.sign(x)),
    "sigmoid": function(sigmoid, lambda x, y: y - y**2),
    "tanh": function(np.tanh, lambda x, y: 1 / np.cosh(np.clip(x, -300, 300)) ** 2),
    "relu": function(lambda x: np.maximum(x, 0), lambda x, y: np.where(x > 0, 1.0, 0.0)),
}


class Directions:
    """N directions, one an entry of everything that gradients are asked for, numbered in the order of asking."""

    def __init__(self, count: int) -> None:
        self.count, self.used = count, 0

    def along(self, array: Array) -> tuple[slice, Array]:
        """The next directions, one an entry of `array`, and their slopes (N, *shape)."""
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
    """The gradients of L = sum(outputs * d_outputs) + sum over states of sum(final * d_final), going forward only.

    Sequences do not see each other, so one direction serves an input or an initial state of all sequences at once.
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
