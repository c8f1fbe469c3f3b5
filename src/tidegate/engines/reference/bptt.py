"""Forward through time, and backpropagation through time: Werbos, Proceedings of the IEEE 78 (1990)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.calculus import Adjoint, adjoint, evaluate
from tidegate.calculus.expression import Expression
from tidegate.engines.reference.functions import OPERATIONS, Array
from tidegate.engines.reference.problem import GROUPS, Gradients, Parameters, Problem, zero_gradients

Values = dict[Expression, Array]


@dataclass(frozen=True)
class Tape:
    """What the forward pass leaves: every value of every step, by expression, and the outputs by name."""

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


@dataclass(frozen=True)
class Terms:
    """What one step adds to the gradients, each by the name of its gate, vector or state.

    dq, da: the errors of the pre-activations (B, H). products: dq_g U_g^T (B, P), each gate's share of the cotangent
    of its stage's operand. inputs: da_g W_g^T (B, D), its share of dL/dx. old: the cotangents of the states before the
    step. W, b, U, c, v, R: the step's terms of the parameters' gradients.
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


def backward_step(
    rule: Adjoint,
    P: Parameters,
    x: Array,
    value: Values,
    d_new: Mapping[str, Array],
    alive: NDArray[np.bool_],
    d_gate: Mapping[str, Array] | None = None,
) -> Terms:
    """One step back: the rule's expressions, and around them the products with U and W.

    x (B, D); `value` holds the step's forward values; d_new (B, P or H) by state and d_gate (B, H) by gate are the
    cotangents of its results, zero for a sequence that is not `alive` (B, 1).
    """
    step, d_new = rule.step, dict(d_new)
    full = np.zeros((len(x), P.W[step.inputs[0]].shape[1]))  # a gradient that is the number 0 has this shape too
    R = {s: value[step.new[s]].T @ d_new[s] for s in P.R}
    d_new |= {s: d_new[s] @ P.R[s].T for s in P.R}
    value = value | {e: d_new[s] for s, e in rule.d_new.items()}
    if d_gate is not None:
        value |= {e: d_gate[g] for g, e in rule.d_gate.items()}
    dq: dict[str, Array] = {}
    products: dict[str, Array] = {}
    for k, stage in reversed(list(enumerate(step.stages))):
        errors = evaluate([rule.dq[g] for g in stage.gates], value, OPERATIONS)
        dq |= {g: np.where(alive, error, full) for g, error in zip(stage.gates, errors)}
        products |= {g: dq[g] @ P.U[g].T for g in stage.gates}
        value[rule.d_p[k]] = np.sum([products[g] for g in stage.gates], axis=0)
    operand = {g: value[stage.operand] for stage in step.stages for g in stage.gates}
    da, dv, old = (
        {name: np.where(alive, d, zero) for name, d in zip(each, evaluate(list(each.values()), value, OPERATIONS))}
        for each, zero in ((rule.da, full), (rule.dv, full), (rule.d_old, 0))
    )
    old = {s: np.broadcast_to(d, value[step.old[s]].shape) for s, d in old.items()}
    return Terms(
        dq=dq,
        da=da,
        products=products,
        inputs={g: da[g] @ P.W[g].T for g in step.inputs},
        old=old,
        W={g: x.T @ da[g] for g in step.inputs},
        b={g: da[g].sum(0) for g in step.inputs},
        U={g: operand[g].T @ dq[g] for g in step.products},
        c={g: dq[g].sum(0) for g in step.products},
        v={n: dv[n].sum(0) for n in step.vectors},
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
    step_back: Callable[..., Terms] = backward_step,
    rule: Adjoint | None = None,
) -> Gradients:
    """Backpropagation through time: the Adjoint of the step, from the last step to the first.

    d_outputs (T, B, P) and d_final (B, H) by state are dL/d of what `forward` returned; so are the optional
    d_sequences and d_gates, (T, B, H) by name. `rule` and `step_back` let a caller put another backward step in
    the place of the derived one, as the plant of a wrong term does.
    """
    step, P = problem.step, problem.parameters
    rule = rule or adjoint(step, of_gates=d_gates is not None)
    found = zero_gradients(problem)
    d = found.states
    d |= {s: cotangent.copy() for s, cotangent in d_final.items()}
    for t in reversed(problem.times()):
        alive, reset = problem.active[t, :, None], problem.resets[t, :, None]
        total = {s: d[s] + (0 if d_sequences is None else d_sequences[s][t]) for s in step.state}
        total[step.state[0]] = total[step.state[0]] + np.where(alive, d_outputs[t], 0)
        d_new = {s: np.where(alive, total[s], 0) for s in step.state}
        d_gate = None if d_gates is None else {g: np.where(alive, d_gates[g][t], 0) for g in step.gates}
        terms = step_back(rule, P, problem.x[t], tape.values[t], d_new, alive, d_gate)
        for group in GROUPS:
            for name, term in getattr(terms, group).items():
                getattr(found, group)[name][:] += term
        found.x[t] = np.sum(list(terms.inputs.values()), axis=0)
        for s in step.state:
            d[s] = np.where(alive, np.where(reset, 0, terms.old[s]), total[s])
    return found
