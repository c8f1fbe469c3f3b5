"""A call as NumPy arrays in float64, one matrix or vector for each gate, and gradients in the same form."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from tidegate.calculus import Step
from tidegate.engines.call import Call, Weights
from tidegate.engines.reference.functions import Array

GROUPS = ("W", "b", "U", "c", "v", "R")


@dataclass(frozen=True)
class Parameters:
    """One matrix or vector for each gate: W[g] (D, H), b[g] (H,), U[g] (P, H), c[g] (H,), v[name] (H,).

    R (H, P), by the name of the output state, projects it; without it P = H.
    """

    W: Mapping[str, Array]
    b: Mapping[str, Array]
    U: Mapping[str, Array]
    c: Mapping[str, Array]
    v: Mapping[str, Array]
    R: Mapping[str, Array]


@dataclass(frozen=True)
class Problem:
    """A whole sequence: x (T, B, D), initial states (B, H) by name; which steps are active and which reset, (T, B)."""

    step: Step
    parameters: Parameters
    x: Array
    states: Mapping[str, Array]
    active: NDArray[np.bool_]
    resets: NDArray[np.bool_]
    reverse: bool = False

    def times(self) -> range:
        T = len(self.x)
        return range(T - 1, -1, -1) if self.reverse else range(T)


@dataclass(frozen=True)
class Gradients:
    """dL/d of the inputs, initial states and parameters; W, b, U, c, v and R by name, as in Parameters."""

    x: Array
    states: dict[str, Array]
    W: dict[str, Array]
    b: dict[str, Array]
    U: dict[str, Array]
    c: dict[str, Array]
    v: dict[str, Array]
    R: dict[str, Array]

    def packed(self) -> tuple[Array | None, ...]:
        """W, U, b, c, v and R as torch.nn packs them, in the order of Weights; None for a group without entries."""
        return (*(pack(m, transpose=True) for m in (self.W, self.U)), *map(pack, (self.b, self.c, self.v)),
                pack(self.R, transpose=True))  # fmt: skip


def zero_gradients(problem: Problem) -> Gradients:
    P = problem.parameters
    return Gradients(
        x=np.zeros_like(problem.x),
        states={s: np.zeros_like(x) for s, x in problem.states.items()},
        **{group: {k: np.zeros_like(m) for k, m in getattr(P, group).items()} for group in GROUPS},
    )


def as_problem(call: Call, x: Tensor, states: tuple[Tensor, ...], w: Weights) -> Problem:
    step, T, B, D, H = call.step, call.T, call.B, call.D, call.H

    def blocks(packed: Tensor | None, names: tuple[str, ...]) -> dict[str, Array]:
        if packed is None:
            return {n: np.zeros(H) for n in names}
        return {n: block.T for n, block in zip(names, numpy64(packed).reshape(len(names), H, *packed.shape[1:]))}

    lengths = np.full(B, T) if call.lengths is None else call.lengths.cpu().numpy()
    return Problem(
        step=step,
        parameters=Parameters(
            W=blocks(w.w_ih, step.inputs),
            b=blocks(w.b_ih, step.inputs),
            U=blocks(w.w_hh, step.products),
            c=blocks(w.b_hh, step.products),
            v=blocks(w.vectors, step.vectors),
            R={} if w.w_hr is None else {step.state[0]: numpy64(w.w_hr).T},
        ),
        x=np.eye(D)[x.cpu().numpy()] if call.indexed else numpy64(x),
        states={s: numpy64(t) for s, t in zip(step.state, states)},
        active=np.arange(T)[:, None] < lengths,
        resets=np.zeros((T, B), bool) if call.resets is None else call.resets.cpu().numpy(),
        reverse=call.reverse,
    )


def numpy64(tensor: Tensor) -> Array:
    return tensor.detach().cpu().double().numpy()


def pack(blocks: Mapping[str, Array], *, transpose: bool = False) -> Array | None:
    """The blocks one under the other, as torch.nn packs them; None without blocks."""
    return np.concatenate([block.T if transpose else block for block in blocks.values()]) if blocks else None
