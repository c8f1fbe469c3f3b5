"""The reference engine: NumPy, float64, one line after the other as the derivation has them. The oracle of every test.

It is written to be read, not to be fast, and it shares nothing with the other engines but the traced step.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tidegate.calculus import Step, adjoint, evaluate
from tidegate.calculus.expression import Expression
from tidegate.engines.call import Call, Result, Weights
from tidegate.errors import EngineError

NAME = "reference"

Array = NDArray[np.float64]


def sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


OPERATIONS = {
    "constant": float,
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "neg": np.negative,
    "maximum": np.maximum,
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "step": lambda x: np.where(x <= 0, 0.0, 1.0),
    "sign": np.sign,
}


@dataclass(frozen=True)
class Parameters:
    """One matrix or vector a gate: W[g] (D, H), b[g] (H,), U[g] (P, H), c[g] (H,), v[name] (H,).

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
class Tape:
    """What the forward pass leaves: every value of every step, by expression, and the outputs by name."""

    values: list[dict[Expression, Array]]
    outputs: Array
    final: dict[str, Array]
    sequences: dict[str, Array]
    gates: dict[str, Array]


@dataclass(frozen=True)
class Gradients:
    """dL/d of everything that entered; W, b, U, c, v and R by name, as in Parameters."""

    x: Array
    states: dict[str, Array]
    W: dict[str, Array]
    b: dict[str, Array]
    U: dict[str, Array]
    c: dict[str, Array]
    v: dict[str, Array]
    R: dict[str, Array]


def forward(problem: Problem) -> Tape:
    """The sequence through time."""
    step, P = problem.step, problem.parameters
    T, B, H = *problem.x.shape[:2], P.W[step.inputs[0]].shape[1]
    values: list[dict[Expression, Array]] = [{} for _ in range(T)]
    outputs = np.zeros((T, *problem.states[step.state[0]].shape))
    sequences = {s: np.zeros((T, *problem.states[s].shape)) for s in step.state}
    gates = {g: np.zeros((T, B, H)) for g in step.gates}
    states = dict(problem.states)
    for t in problem.times():
        alive, reset = problem.active[t, :, None], problem.resets[t, :, None]
        value: dict[Expression, Array] = {step.v[n]: P.v[n] for n in step.vectors}
        value |= {step.old[s]: np.where(reset, 0, states[s]) for s in step.state}
        value |= {step.a[g]: problem.x[t] @ P.W[g] + P.b[g] for g in step.inputs}
        for stage in step.stages:
            (p,) = (value[stage.operand],) = evaluate([stage.operand], value, OPERATIONS)
            value |= {step.q[g]: p @ P.U[g] + P.c[g] for g in stage.gates}
        wanted = [*step.new.values(), *step.gate.values(), *adjoint(step).saved]
        value |= dict(zip(wanted, evaluate(wanted, value, OPERATIONS)))
        values[t] = value
        new = {s: value[e] @ P.R[s] if s in P.R else value[e] for s, e in step.new.items()}
        states = {s: np.where(alive, new[s], states[s]) for s in step.state}
        outputs[t] = np.where(alive, states[step.state[0]], 0)
        for s in step.state:
            sequences[s][t] = states[s]
        for g, e in step.gate.items():
            gates[g][t] = np.where(alive, value[e], 0)
    return Tape(values, outputs, states, sequences, gates)


def backward(
    problem: Problem,
    tape: Tape,
    d_outputs: Array,
    d_final: Mapping[str, Array],
    d_sequences: Mapping[str, Array] | None = None,
    d_gates: Mapping[str, Array] | None = None,
) -> Gradients:
    """Backpropagation through time: the Adjoint of the step, from the last step to the first.

    d_outputs (T, B, H) and d_final (B, H) by state are dL/d of what `forward` returned; so are the optional
    d_sequences and d_gates, (T, B, H) by name.
    """
    step, P = problem.step, problem.parameters
    backstep = adjoint(step, of_gates=d_gates is not None)
    zero = {s: np.zeros_like(x) for s, x in problem.states.items()}
    found = Gradients(
        x=np.zeros_like(problem.x),
        states={s: d.copy() for s, d in d_final.items()} | {s: zero[s] for s in step.state if s not in d_final},
        **{name: {k: np.zeros_like(m) for k, m in getattr(P, name).items()} for name in "WbUcvR"},
    )
    d = found.states
    for t in reversed(problem.times()):
        alive, reset = problem.active[t, :, None], problem.resets[t, :, None]
        total = {s: d[s] + (0 if d_sequences is None else d_sequences[s][t]) for s in step.state}
        total[step.state[0]] = total[step.state[0]] + np.where(alive, d_outputs[t], 0)
        d_new = {s: np.where(alive, total[s], 0) for s in step.state}
        for s, R in P.R.items():
            found.R[s][:] += tape.values[t][step.new[s]].T @ d_new[s]
            d_new[s] = d_new[s] @ R.T
        value = tape.values[t] | {e: d_new[s] for s, e in backstep.d_new.items()}
        if d_gates is not None:
            value |= {e: np.where(alive, d_gates[g][t], 0) for g, e in backstep.d_gate.items()}
        dq: dict[str, Array] = {}
        for k, stage in reversed(list(enumerate(step.stages))):
            terms = evaluate([backstep.dq[g] for g in stage.gates], value, OPERATIONS)
            dq |= {g: np.where(alive, term, 0) for g, term in zip(stage.gates, terms)}
            value[backstep.d_p[k]] = np.sum([dq[g] @ P.U[g].T for g in stage.gates], axis=0)
            for g in stage.gates:
                found.U[g][:] += value[stage.operand].T @ dq[g]
                found.c[g][:] += dq[g].sum(0)
        for g, term in zip(step.inputs, evaluate(list(backstep.da.values()), value, OPERATIONS)):
            da = np.where(alive, term, 0)
            found.W[g][:] += problem.x[t].T @ da
            found.b[g][:] += da.sum(0)
            found.x[t] += da @ P.W[g].T
        for n, term in zip(step.vectors, evaluate(list(backstep.dv.values()), value, OPERATIONS)):
            found.v[n][:] += np.where(alive, term, 0).sum(0)
        for s, term in zip(step.state, evaluate(list(backstep.d_old.values()), value, OPERATIONS)):
            d[s] = np.where(alive, np.where(reset, 0, term), total[s])
    return found


# From torch to NumPy and back.


def refuse(call: Call) -> str | None:
    return None


def run(call: Call) -> Result:
    """The sequence in float64 on the CPU, differentiable once; results have the dtype and device of the call."""
    flat = _Scan.apply(call, call.x, *call.states, *call.weights.tensors())
    n, step = 1 + len(call.states), call.step
    if not call.keep_gates:
        return Result(flat[0], tuple(flat[1:n]))
    m = n + len(step.state)
    sequences, gates = dict(zip(step.state, flat[n:m])), dict(zip(step.gates, flat[m:]))
    return Result(flat[0], tuple(flat[1:n]), sequences, gates)


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, call: Call, x: Tensor, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        n = len(call.step.state)
        w = Weights(*tensors[n:])  # type: ignore[arg-type]
        problem = as_problem(call, x, tensors[:n], w)  # type: ignore[arg-type]
        tape = forward(problem)
        ctx.call, ctx.problem, ctx.tape, ctx.like = call, problem, tape, (x, *tensors)
        kept = [*tape.sequences.values(), *tape.gates.values()] if call.keep_gates else []
        like = call.states[0]
        return tuple(torch.from_numpy(array).to(like) for array in (tape.outputs, *tape.final.values(), *kept))

    @staticmethod
    def backward(ctx, *d_results: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        if torch.is_grad_enabled():  # create_graph=True: torch would silently take the second derivative for zero
            raise EngineError(
                'engine "reference" has first derivatives only; for create_graph=True use engine="eager".'
            )
        call, step = ctx.call, ctx.call.step
        n = len(step.state)
        d_outputs, *d = map(numpy64, d_results)
        kept = dict(zip(step.state, d[n : 2 * n])), dict(zip(step.gates, d[2 * n :]))
        found = backward(
            ctx.problem, ctx.tape, d_outputs, dict(zip(step.state, d[:n])), *(kept if call.keep_gates else ())
        )
        packed = (
            None if call.indexed else found.x,
            *found.states.values(),
            pack(found.W, transpose=True),
            pack(found.U, transpose=True),
            pack(found.b),
            pack(found.c),
            pack(found.v),
            pack(found.R, transpose=True),
        )
        return None, *(
            None if tensor is None or array is None or not tensor.requires_grad else torch.from_numpy(array).to(tensor)
            for array, tensor in zip(packed, ctx.like)
        )


def numpy64(tensor: Tensor) -> Array:
    return tensor.detach().cpu().double().numpy()


def pack(blocks: Mapping[str, Array], *, transpose: bool = False) -> Array | None:
    """The blocks one under the other, as torch.nn keeps them; None of none."""
    return np.concatenate([block.T if transpose else block for block in blocks.values()]) if blocks else None


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
