"""The equations themselves, run on torch tensors: an oracle that shares neither the trace nor the adjoint.

For a Step without its cell's class, its traced expressions are computed with torch's functions instead: that oracle
is independent of the adjoint, but not of the trace.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from tidegate.calculus import Step, evaluate
from tidegate.cells import Cell
from tidegate.engines import Call, Result
from tidegate.engines.eager import OPERATIONS


@dataclass
class Moment:
    """The values of one time step, by name, (B, H) each: a and q by gate, the gates, the states before and after.

    x and p are the operands of each gate's matrices: equal tensors, but one for each gate, so that each has its own
    gradient.
    """

    x: dict[str, Tensor] = field(default_factory=dict)
    p: dict[str, Tensor] = field(default_factory=dict)
    a: dict[str, Tensor] = field(default_factory=dict)
    q: dict[str, Tensor] = field(default_factory=dict)
    gate: dict[str, Tensor] = field(default_factory=dict)
    old: dict[str, Tensor] = field(default_factory=dict)
    new: dict[str, Tensor] = field(default_factory=dict)


def unroll(call: Call, cell: type[Cell] | Step) -> Result:
    """The call, by calling the equations of `cell` on tensors once per time step; differentiable by torch to any order.

    `cell` is the class that the call's step was traced from, or the step itself.
    """
    return unroll_moments(call, cell)[0]


def unroll_moments(call: Call, cell: type[Cell] | Step) -> tuple[Result, list[Moment]]:
    """As `unroll`, with the values of every time step, in the order of t."""
    equations = equations_of(cell) if isinstance(cell, Step) else cell.equations
    step, w, H = call.step, call.weights, call.H
    W, U = by_name(w.w_ih, step.inputs, H), by_name(w.w_hh, step.products, H)
    b, c = by_name(w.b_ih, step.inputs, H), by_name(w.b_hh, step.products, H)
    v = SimpleNamespace(**by_name(w.vectors, step.vectors, H))
    x = torch.nn.functional.one_hot(call.x.long(), call.D).to(w.w_ih) if call.indexed else call.x
    lengths = torch.full((call.B,), call.T) if call.lengths is None else call.lengths
    states, moments = dict(zip(step.state, call.states)), {}
    outputs: dict[int, Tensor] = {}
    sequences: dict[str, dict[int, Tensor]] = {s: {} for s in step.state}
    gates: dict[str, dict[int, Tensor]] = {g: {} for g in step.gates}
    for t in reversed(range(call.T)) if call.reverse else range(call.T):
        moment = moments[t] = Moment()
        inside = (lengths > t).to(w.w_ih)[:, None]
        kept = 1.0 if call.resets is None else (~call.resets[t]).to(w.w_ih)[:, None]
        moment.old = {s: kept * value for s, value in states.items()}
        moment.x = {g: x[t].clone() for g in step.inputs}
        moment.a = {g: moment.x[g] @ W[g].T + b.get(g, 0) for g in step.inputs}

        def product(g: str, moment: Moment = moment) -> Any:
            def apply(p: Tensor) -> Tensor:
                if g not in moment.q:
                    moment.p[g] = p.clone()
                    moment.q[g] = moment.p[g] @ U[g].T + c.get(g, 0)
                return moment.q[g]

            return apply

        products = SimpleNamespace(**{g: product(g) for g in step.products})
        arguments = (SimpleNamespace(**moment.a), products, *((v,) if step.vectors else ()))
        new, gate = equations(*arguments, *moment.old.values())
        moment.new, moment.gate = dict(zip(step.state, new)), dict(zip(step.gates, gate))
        left = moment.new if w.w_hr is None else moment.new | {step.state[0]: new[0] @ w.w_hr.T}
        states = {s: inside * left[s] + (1 - inside) * states[s] for s in step.state}
        outputs[t] = inside * states[step.state[0]]
        for s in step.state:
            sequences[s][t] = states[s]
        for g in step.gates:
            gates[g][t] = inside * moment.gate[g]

    def stacked(sequence: dict[int, Tensor]) -> Tensor:
        return torch.stack([sequence[t] for t in range(call.T)])

    result = Result(
        stacked(outputs),
        tuple(states.values()),
        {s: stacked(values) for s, values in sequences.items()},
        {g: stacked(values) for g, values in gates.items()},
    )
    return result, [moments[t] for t in range(call.T)]


def equations_of(step: Step) -> Callable[..., tuple[tuple[Tensor, ...], tuple[Tensor, ...]]]:
    """A function like `Cell.equations` that computes the step's expressions on tensors."""

    def equations(a: Any, U: Any, *rest: Any) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        (v, *old) = rest if step.vectors else (None, *rest)
        given = dict(zip(step.old.values(), old)) | {e: getattr(a, g) for g, e in step.a.items()}
        given |= {e: getattr(v, n) for n, e in step.v.items()}
        for stage in step.stages:
            (p,) = evaluate([stage.operand], given, OPERATIONS)
            given |= {step.q[g]: getattr(U, g)(p) for g in stage.gates}
        values = evaluate([*step.new.values(), *step.gate.values()], given, OPERATIONS)
        return tuple(values[: len(step.new)]), tuple(values[len(step.new) :])

    return equations


def by_name(packed: Tensor | None, names: tuple[str, ...], H: int) -> dict[str, Tensor]:
    """The blocks of H rows of a packed parameter, one per name; no block of None."""
    return {} if packed is None else dict(zip(names, packed.split(H)))
