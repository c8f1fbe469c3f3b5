"""Where a wrong backward step first goes wrong: the gradient, and with it the gate."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from tidegate.calculus import Adjoint, adjoint, evaluate
from tidegate.calculus.expression import Expression, subgraph
from tidegate.engines.reference.bptt import Terms, backward_step, forward
from tidegate.engines.reference.functions import OPERATIONS, Array
from tidegate.engines.reference.problem import as_problem
from tidegate.verification.direct import unroll_moments
from tidegate.verification.problem import Problem, one_step


@dataclass(frozen=True)
class Fault:
    """The gradients that are wrong though everything they are computed from is right; and whose they are."""

    gradients: tuple[str, ...]
    gates: tuple[str, ...]
    states: tuple[str, ...]
    vectors: tuple[str, ...]

    def __str__(self) -> str:
        owners = [*(f"gate {g}" for g in self.gates), *(f"state {s}" for s in self.states)]
        owners += [f"vector {v}" for v in self.vectors]
        return f"{', '.join(self.gradients)} ({', '.join(owners)})"


@dataclass(frozen=True)
class Node:
    """One gradient of the backward step: what it should be, what it is, and what it is computed from.

    `of` is its expression in the derived step, spoiled or not, and `needs` names what the products around it use.
    """

    name: str
    owner: tuple[str, str]
    expected: Array
    got: Array
    of: Expression | None = None
    needs: tuple[str, ...] = ()

    @property
    def wrong(self) -> bool:
        return bool(np.linalg.norm(self.got - self.expected) > 1e-9 * (1e-9 + np.linalg.norm(self.expected)))


def find_fault(problem: Problem, rule: Adjoint, step_back: Callable[..., Terms] = backward_step) -> Fault | None:
    """The first wrong gradients of one backward step, each against autograd of the equations; None if all are right."""
    nodes = gradients_of_one_step(one_step(problem), rule, step_back)
    wrong = {node.name for node in nodes if node.wrong}
    known = {node.of: node.name for node in nodes if node.of is not None}
    products = {d: tuple(f"dq_{g} U_{g}^T" for g in s.gates) for d, s in zip(rule.d_p, rule.step.stages)}

    def computed_from(node: Node) -> set[str]:
        if node.of is None:
            return set(node.needs)
        inside = subgraph([node.of])
        return {known[e] for e in inside if e in known and e is not node.of} | {
            p for e in inside for p in products.get(e, ())
        }

    first = [node for node in nodes if node.wrong and not wrong & computed_from(node)]
    if not first:
        return None
    owners = [node.owner for node in first]
    gates, states, vectors = (
        tuple(dict.fromkeys(name for kind, name in owners if kind == each)) for each in ("gate", "state", "vector")
    )
    return Fault(tuple(node.name for node in first), gates, states, vectors)


def gradients_of_one_step(problem: Problem, rule: Adjoint, step_back: Callable[..., Terms]) -> list[Node]:
    """Every gradient that one step back computes, beside what autograd of the equations says."""
    call, step = problem.call, problem.call.step
    numbers = as_problem(call, call.x, call.states, call.weights)
    P, value = numbers.parameters, forward(numbers).values[0]
    d_new = {s: d.numpy() for s, d in zip(step.state, problem.d_final)}
    d_new[step.state[0]] = d_new[step.state[0]] + problem.d_outputs[0].numpy()
    terms = step_back(rule, P, numbers.x[0], value, d_new, np.ones((call.B, 1), bool))
    value = value | {e: d_new[s] @ P.R[s].T if s in P.R else d_new[s] for s, e in rule.d_new.items()}
    for k, stage in enumerate(step.stages):
        value[rule.d_p[k]] = np.sum([terms.products[g] for g in stage.gates], axis=0)

    expected, right = autograd_of_one_step(problem), adjoint(step)

    nodes: list[Node] = []

    def add(name: str, owner: tuple[str, str], got: Array, of: Expression | None = None, needs: tuple = ()) -> None:
        if name in expected:
            nodes.append(Node(name, owner, expected[name], got, of, needs))

    for prime, kind, expressions in (("'", "state", step.new), ("", "gate", step.gate)):
        for name, e in expressions.items():
            if e in rule.cotangent:
                (got,) = evaluate([rule.cotangent[e]], value, OPERATIONS)
                add(f"d{name}{prime}", (kind, name), got, right.cotangent[e])
    for g in step.inputs:
        add(f"da_{g}", ("gate", g), terms.da[g], right.da[g])
        for name, group in ((f"da_{g} W_{g}^T", "inputs"), (f"dW_{g}", "W"), (f"db_{g}", "b")):
            add(name, ("gate", g), getattr(terms, group)[g], needs=(f"da_{g}",))
    for g in step.products:
        add(f"dq_{g}", ("gate", g), terms.dq[g], right.dq[g])
        for name, group in ((f"dq_{g} U_{g}^T", "products"), (f"dU_{g}", "U"), (f"dc_{g}", "c")):
            add(name, ("gate", g), getattr(terms, group)[g], needs=(f"dq_{g}",))
    for s in step.state:
        add(f"d{s}", ("state", s), terms.old[s], right.d_old[s])
    for n in step.vectors:
        add(f"dv_{n}", ("vector", n), terms.v[n], right.dv[n])
    return nodes


def autograd_of_one_step(problem: Problem) -> dict[str, Array]:
    """The same gradients by autograd of the equations; without those of values that the equations compute twice."""
    step = problem.call.step
    result, (moment,) = unroll_moments(problem.call, problem.cell)
    tensors = {f"d{s}'": tensor for s, tensor in moment.new.items()}
    tensors |= {f"d{g}": tensor for g, tensor in moment.gate.items()}
    tensors |= {f"d{s}": tensor for s, tensor in moment.old.items()}
    for g in step.inputs:
        tensors |= {f"da_{g}": moment.a[g], f"da_{g} W_{g}^T": moment.x[g]}
    for g in step.products:
        tensors |= {f"dq_{g}": moment.q[g], f"dq_{g} U_{g}^T": moment.p[g]}
    w = problem.call.weights
    packed = [("W", w.w_ih, step.inputs), ("b", w.b_ih, step.inputs), ("U", w.w_hh, step.products)]
    packed = [p for p in (*packed, ("c", w.b_hh, step.products), ("v", w.vectors, step.vectors)) if p[1] is not None]
    wanted = [*tensors.values(), *(tensor for _, tensor, _ in packed)]
    found = torch.autograd.grad(problem.loss(result), wanted, allow_unused=True)
    by_name = {name: d.numpy() for name, d in zip(tensors, found) if d is not None}
    for (group, _, names), d in zip(packed, found[len(tensors) :]):
        if d is not None:
            by_name |= {f"d{group}_{n}": block.T for n, block in zip(names, np.split(d.numpy(), len(names)))}
    return by_name
