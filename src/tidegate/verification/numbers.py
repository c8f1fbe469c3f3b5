"""Every number of a problem, computed three times: by the derived BPTT in NumPy, by torch's autograd, and by torch.nn.

A number is found under its kind and a name, see KINDS. The values and gradients of a step are (T, B, H) arrays, t
counted from 0.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from tidegate.calculus import Step, adjoint, evaluate
from tidegate.calculus.expression import Expression, infix
from tidegate.engines.reference.bptt import Terms, Values, backward, forward
from tidegate.engines.reference.functions import OPERATIONS, Array
from tidegate.verification import direct, twin
from tidegate.verification.derived import derived_terms
from tidegate.verification.plant import Plant
from tidegate.verification.problem import Problem
from tidegate.verification.values import as_numbers, as_values, blocks, by_autograd

#: Kind of a number -> what its name is.
KINDS: Mapping[str, str] = MappingProxyType({
    "a": "gate", "p": "gate", "q": "gate", "gate": "gate", "state": "state",
    "d_state": "state", "d_gate": "gate", "da": "gate", "dq": "gate",
    "total": "quantity of `values`, with its gate in brackets",
})  # fmt: skip
Numbers = dict[tuple[str, str], Array]


def by_numpy(problem: Problem, plant: Plant | None = None) -> Numbers:
    """Backpropagation through time in NumPy and float64, by the derived Adjoint or by one with a planted error."""
    step = problem.call.step
    rule, terms = (adjoint(step), derived_terms(adjoint(step))) if plant is None else (plant.rule, plant.terms)
    numbers, d_outputs, d_final = as_numbers(problem)
    tape = forward(numbers)
    steps: list[tuple[Values, Terms]] = []

    def recorded(P, x, step, value, d_new, alive, d_gate=None) -> Terms:
        found = terms(P, x, step, value, d_new, alive, d_gate)
        known = value | {e: d_new[s] @ P.R[s].T if s in P.R else d_new[s] for s, e in rule.d_new.items()}
        known |= {d: np.sum([found.products[g] for g in stage.gates], 0) for d, stage in zip(rule.d_p, step.stages)}
        steps.append((known, found))
        return found

    totals = as_values(problem, backward(numbers, tape, d_outputs, d_final, terms=recorded))
    in_time = steps if numbers.reverse else steps[::-1]
    shape = (*numbers.active.shape, next(iter(numbers.parameters.W.values())).shape[1])
    alive = numbers.active[:, :, None]

    def of_values(e: Expression) -> Array:
        return np.stack([value[e] for value in tape.values])

    def of_gradients(e: Expression) -> Array:
        found = [np.broadcast_to(evaluate([e], value, OPERATIONS)[0], shape[1:]) for value, _ in in_time]
        return np.where(alive, np.stack(found), 0)

    def of_terms(group: str, name: str) -> Array:
        return np.stack([getattr(term, group)[name] for _, term in in_time])

    everything: Numbers = {("a", g): of_values(e) for g, e in step.a.items()}
    everything |= {("p", g): of_values(step.stages[step.stage_of(g)].operand) for g in step.products}
    everything |= {("q", g): of_values(e) for g, e in step.q.items()}
    everything |= {("gate", g): of_values(e) for g, e in step.gate.items()}
    everything |= {("state", s): values for s, values in tape.sequences.items()}
    cotangent = rule.cotangent
    everything |= {("d_state", s): of_gradients(cotangent[e]) for s, e in step.new.items()}
    everything |= {("d_gate", g): of_gradients(cotangent[e]) for g, e in step.gate.items() if e in cotangent}
    everything |= {("da", g): of_terms("da", g) for g in step.inputs}
    everything |= {("dq", g): of_terms("dq", g) for g in step.products}
    finals = {f"{s}_T": final for s, final in tape.final.items()}
    return everything | in_blocks(step, {"y": tape.outputs, **finals, **totals})


def by_equations(problem: Problem) -> Numbers:
    """torch's autograd of the equations; without the gradients of gates that the equations compute twice."""
    step = problem.call.step
    result, moments = direct.unroll_moments(problem.call, problem.cell)
    tensors: dict[tuple[str, str], list[Tensor]] = {}
    for kind, names in (("a", step.inputs), ("p", step.products), ("q", step.products), ("gate", step.gates)):
        tensors |= {(kind, name): [getattr(moment, kind)[name] for moment in moments] for name in names}
    found: Numbers = {key: stacked(each) for key, each in tensors.items()}
    found |= {("state", s): values.detach().numpy() for s, values in result.sequences.items()}
    wanted = {("d_state", s): [moment.new[s] for moment in moments] for s in step.state}
    wanted |= {("d_gate", g): tensors["gate", g] for g in step.gates}
    wanted |= {(f"d{kind}", g): tensors[kind, g] for kind in "aq" for g in (step.inputs, step.products)[kind == "q"]}
    flat = [tensor for each in wanted.values() for tensor in each]
    gradients = iter(torch.autograd.grad(problem.loss(result), flat, allow_unused=True))
    for key, each in wanted.items():
        here = [next(gradients) for _ in each]
        if key[0] != "d_gate" or None not in here:
            found[key] = stacked([torch.zeros_like(t) if d is None else d for t, d in zip(each, here)])
    return found | in_blocks(step, by_autograd(problem, lambda call: direct.unroll(call, problem.cell)))


def by_torch_nn(problem: Problem) -> Numbers:
    """torch.nn's own layer, called once for each step; empty where torch.nn does not have the cell.

    It has no gates. The gradient with respect to the output state is known at every step, unless the state is
    projected; that with respect to a cell state is not, since a call uses it inside.
    """
    call, step = problem.call, problem.call.step
    if twin.refuse(call):
        return {}
    found: Numbers = {}
    if call.weights.w_hr is None:
        result, new = twin.run_steps(call)
        found |= {("state", s): values.detach().numpy() for s, values in result.sequences.items()}
        gradients = torch.autograd.grad(problem.loss(result), new)
        found["d_state", step.state[0]] = stacked(list(gradients))
    return found | in_blocks(step, by_autograd(problem, twin.run))


def in_blocks(step: Step, values: Mapping[str, Array]) -> Numbers:
    return {
        ("total", f"{quantity}[{gate}]" if gate else quantity): block
        for quantity, array in values.items()
        for gate, block in blocks(step, quantity, array)
    }


def stacked(tensors: list[Tensor]) -> Array:
    return torch.stack(tensors).detach().numpy()


def operand_of(step: Step, gate: str) -> str:
    """The operand of a gate's recurrent product, as printed."""
    return infix(step.stages[step.stage_of(gate)].operand, step.names())
