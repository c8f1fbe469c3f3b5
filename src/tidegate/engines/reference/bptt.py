"""Forward through time, and backpropagation through time: Werbos, Proceedings of the IEEE 78 (1990)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tidegate.calculus import Step, evaluate
from tidegate.calculus.expression import Expression, subgraph
from tidegate.calculus.substitution import lower
from tidegate.engines.reference.functions import FUNCTIONS, OPERATIONS, Array
from tidegate.engines.reference.problem import GROUPS, Gradients, Parameters, Problem, zero_gradients

Values = dict[Expression, Array]


@dataclass(frozen=True)
class Tape:
    """The results of the forward pass: every value of every step, by expression, and the outputs by name."""

    values: list[Values]
    outputs: Array
    final: dict[str, Array]
    sequences: dict[str, Array]
    gates: dict[str, Array]


def forward(problem: Problem) -> Tape:
    """The sequence through time."""
    step, P = problem.step, problem.parameters
    T, B, H = *problem.x.shape[:2], P.W[step.inputs[0]].shape[1]
    values: list[Values] = [{} for _ in range(T)]
    outputs = np.zeros((T, *problem.states[step.state[0]].shape))
    sequences = {s: np.zeros((T, *problem.states[s].shape)) for s in step.state}
    gates = {g: np.zeros((T, B, H)) for g in step.gates}
    states = dict(problem.states)
    for t in problem.times():
        alive, reset = problem.active[t, :, None], problem.resets[t, :, None]
        value: Values = {step.v[n]: P.v[n] for n in step.vectors}
        value |= {step.old[s]: np.where(reset, 0, states[s]) for s in step.state}
        value |= {step.a[g]: problem.x[t] @ P.W[g] + P.b[g] for g in step.inputs}
        for stage in step.stages:
            (p,) = (value[stage.operand],) = evaluate([stage.operand], value, OPERATIONS)
            value |= {step.q[g]: p @ P.U[g] + P.c[g] for g in stage.gates}
        nodes = [*subgraph([*step.new.values(), *step.gate.values()]), *in_order(step)]
        value |= dict(zip(nodes, evaluate(nodes, value, OPERATIONS)))
        values[t] = value
        new = {s: value[e] @ P.R[s] if s in P.R else value[e] for s, e in step.new.items()}
        states = {s: np.where(alive, new[s], states[s]) for s in step.state}
        outputs[t] = np.where(alive, states[step.state[0]], 0)
        for s in step.state:
            sequences[s][t] = states[s]
        for g, e in step.gate.items():
            gates[g][t] = np.where(alive, value[e], 0)
    return Tape(values, outputs, states, sequences, gates)


@cache
def lowered(step: Step) -> dict[str, dict[str, Expression]]:
    """The operands by gate, the gates and the new states in terms of primitive operations."""
    operands = {g: stage.operand for stage in step.stages for g in stage.gates}
    groups = {"operand": operands, "gate": step.gate, "new": step.new}
    found = iter(lower([e for group in groups.values() for e in group.values()]))
    return {kind: {name: next(found) for name in group} for kind, group in groups.items()}


@cache
def in_order(step: Step) -> tuple[Expression, ...]:
    """Every node of the lowered step, arguments before their users and the operands of products before the products."""
    low, order = lowered(step), {}
    for stage in step.stages:
        order |= dict.fromkeys([*subgraph([low["operand"][stage.gates[0]]]), *(step.q[g] for g in stage.gates)])
    order |= dict.fromkeys(subgraph([*low["new"].values(), *low["gate"].values()]))
    return tuple(order)


@dataclass(frozen=True)
class Terms:
    """What one step adds to the gradients, each by the name of its gate, vector or state.

    dq, da: the gradients with respect to the pre-activations (B, H). products: dq_g U_g^T (B, P), each gate's term of
    the gradient with respect to its operand. inputs: da_g W_g^T (B, D), its term of dL/dx. old: the gradients with
    respect to the states before the step. W, b, U, c, v, R: the step's terms of the parameters' gradients.
    """

    dq: dict[str, Array]
    da: dict[str, Array]
    products: dict[str, Array]
    inputs: dict[str, Array]
    old: dict[str, Array]
    W: dict[str, Array]
    b: dict[str, Array]
    U: dict[str, Array]
    c: dict[str, Array]
    v: dict[str, Array]
    R: dict[str, Array]


class BackwardStep(Protocol):
    """One step of the backward pass.

    x (B, D); `value` holds the step's forward values; d_new (B, H) by state and d_gate (B, H) by gate are the gradients
    with respect to its results, before a projection of the output, zero for a sequence that is not `alive` (B, 1).
    Returns dq, da, dv and the gradients with respect to the old states and products, by name, as in Terms.
    """

    def __call__(
        self,
        step: Step,
        P: Parameters,
        value: Values,
        d_new: Mapping[str, Array],
        alive: NDArray[np.bool_],
        d_gate: Mapping[str, Array] | None,
    ) -> ElementWise: ...


@dataclass(frozen=True)
class ElementWise:
    """The part of Terms that comes from the element-wise expressions: dq, da, dv, old, (B, H), and products (B, P)."""

    dq: dict[str, Array]
    da: dict[str, Array]
    dv: dict[str, Array]
    old: dict[str, Array]
    products: dict[str, Array]


def local_derivatives(
    step: Step,
    P: Parameters,
    value: Values,
    d_new: Mapping[str, Array],
    alive: NDArray[np.bool_],
    d_gate: Mapping[str, Array] | None,
) -> ElementWise:
    """The chain rule on arrays, node by node from the results to the leaves, with the derivatives of FUNCTIONS.

    It uses the traced expressions alone: neither the Adjoint nor the derivatives of `calculus.operations`.
    """
    low = lowered(step)
    d: Values = {}

    def add(node: Expression, term: Array) -> None:
        d[node] = np.where(alive, term, 0) + d.get(node, 0)

    for s, e in low["new"].items():
        add(e, d_new[s])
    for g, e in low["gate"].items():
        if d_gate is not None:
            add(e, d_gate[g])
    products: dict[str, Array] = {}
    for node in reversed(in_order(step)):
        if node.kind == "product":
            products[str(node.name)] = d.get(node, np.zeros(())) * np.ones_like(value[node]) @ P.U[str(node.name)].T
            add(low["operand"][str(node.name)], products[str(node.name)])
        elif node.args and node in d:
            slopes = FUNCTIONS[node.op].slopes(value[node], *(value[arg] for arg in node.args))
            for arg, slope in zip(node.args, slopes):
                add(arg, d[node] * slope)

    def found(leaves: Mapping[str, Expression], like: Callable[[Expression], Array]) -> dict[str, Array]:
        return {name: np.zeros_like(like(e)) + d.get(e, 0) for name, e in leaves.items()}

    rows = np.zeros((len(alive), P.W[step.inputs[0]].shape[1]))
    return ElementWise(
        dq=found(step.q, value.__getitem__),
        da=found(step.a, value.__getitem__),
        dv=found(step.v, lambda e: rows),
        old=found(step.old, value.__getitem__),
        products=products,
    )


def terms_of_step(
    P: Parameters,
    x: Array,
    step: Step,
    value: Values,
    d_new: Mapping[str, Array],
    alive: NDArray[np.bool_],
    d_gate: Mapping[str, Array] | None = None,
    backward_step: BackwardStep = local_derivatives,
) -> Terms:
    """One backward step: the element-wise part by `backward_step`, and around it the products with W, U and R."""
    R = {s: value[step.new[s]].T @ d_new[s] for s in P.R}
    d_new = {s: d @ P.R[s].T if s in P.R else d for s, d in d_new.items()}
    inner = backward_step(step, P, value, d_new, alive, d_gate)
    operand = {g: value[stage.operand] for stage in step.stages for g in stage.gates}
    return Terms(
        dq=inner.dq,
        da=inner.da,
        products=inner.products,
        inputs={g: inner.da[g] @ P.W[g].T for g in step.inputs},
        old=inner.old,
        W={g: x.T @ inner.da[g] for g in step.inputs},
        b={g: inner.da[g].sum(0) for g in step.inputs},
        U={g: operand[g].T @ inner.dq[g] for g in step.products},
        c={g: inner.dq[g].sum(0) for g in step.products},
        v={n: inner.dv[n].sum(0) for n in step.vectors},
        R=R,
    )


def backward(
    problem: Problem,
    tape: Tape,
    d_outputs: Array,
    d_final: Mapping[str, Array],
    d_sequences: Mapping[str, Array] | None = None,
    d_gates: Mapping[str, Array] | None = None,
    *,
    terms: Callable[..., Terms] = terms_of_step,
) -> Gradients:
    """Backpropagation through time, from the last step to the first.

    d_outputs (T, B, P) and d_final (B, H) by state are dL/d of what `forward` returned; so are the optional
    d_sequences and d_gates, (T, B, H) by name. `terms` is one backward step; `verification` passes the derived Adjoint,
    or one with a planted error, instead of the reference's own.
    """
    step, P = problem.step, problem.parameters
    found = zero_gradients(problem)
    d = found.states
    d |= {s: cotangent.copy() for s, cotangent in d_final.items()}
    for t in reversed(problem.times()):
        alive, reset = problem.active[t, :, None], problem.resets[t, :, None]
        total = {s: d[s] + (0 if d_sequences is None else d_sequences[s][t]) for s in step.state}
        total[step.state[0]] = total[step.state[0]] + np.where(alive, d_outputs[t], 0)
        d_new = {s: np.where(alive, total[s], 0) for s in step.state}
        d_gate = None if d_gates is None else {g: np.where(alive, d_gates[g][t], 0) for g in step.gates}
        here = terms(P, problem.x[t], step, tape.values[t], d_new, alive, d_gate)
        for group in GROUPS:
            for name, term in getattr(here, group).items():
                getattr(found, group)[name][:] += term
        found.x[t] = np.sum(list(here.inputs.values()), axis=0)
        for s in step.state:
            d[s] = np.where(alive, np.where(reset, 0, here.old[s]), total[s])
    return found
