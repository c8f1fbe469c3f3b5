"""The first wrong gradient of a wrong backward step, and the gate to which it belongs."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from tidegate.calculus import Adjoint, adjoint, evaluate
from tidegate.calculus.expression import Expression, subgraph
from tidegate.engines.reference.bptt import Terms, forward
from tidegate.engines.reference.functions import OPERATIONS, Array
from tidegate.engines.reference.problem import as_problem
from tidegate.verification.derived import derived_terms
from tidegate.verification.direct import unroll_moments
from tidegate.verification.problem import Problem, one_step


@dataclass(frozen=True)
class Fault:
    """The gradients that are wrong although computed from correct values only, and their owners."""

    gradients: tuple[str, ...]
    gates: tuple[str, ...]
    states: tuple[str, ...]
    vectors: tuple[str, ...]

    def __str__(self) -> str:
        owners = [*(f"gate {g}" for g in self.gates), *(f"state {s}" for s in self.states)]
        owners += [f"vector {v}" for v in self.vectors]
        return f"{', '.join(self.gradients)} ({', '.join(owners)})"


Owner = tuple[str, str]  # "gate", "state" or "vector", and its name
Key = tuple[str, Owner]


@dataclass(frozen=True)
class Node:
    """One gradient of the backward step: its expected value, its computed value, and what it is computed from.

    `of` is its expression in the derived step. A matrix product has no `of`; it has `needs`, the keys of the gradients
    that it uses. A state and a gate can have gradients of the same name, so `key` has the owner too.
    """

    name: str
    owner: Owner
    expected: Array
    got: Array
    of: Expression | None = None
    needs: tuple[Key, ...] = ()

    @property
    def key(self) -> Key:
        return self.name, self.owner

    @property
    def wrong(self) -> bool:
        return bool(np.linalg.norm(self.got - self.expected) > 1e-9 * (1e-9 + np.linalg.norm(self.expected)))


def find_fault(problem: Problem, rule: Adjoint, terms: Callable[..., Terms] | None = None) -> Fault | None:
    """The first wrong gradients of one backward step, each against autograd of the equations; None if all are right.

    `terms` computes the step, by default the expressions of `rule`.
    """
    nodes = gradients_of_one_step(one_step(problem), rule, terms or derived_terms(rule))
    wrong = {node.key for node in nodes if node.wrong}
    known = {node.of: node.key for node in nodes if node.of is not None}
    products = {d: tuple((f"dq_{g} U_{g}^T", ("gate", g)) for g in s.gates) for d, s in zip(rule.d_p, rule.step.stages)}

    def computed_from(node: Node) -> set[Key]:
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


def gradients_of_one_step(problem: Problem, rule: Adjoint, terms_of: Callable[..., Terms]) -> list[Node]:
    """Every gradient that one backward step computes, and the same by autograd of the equations."""
    call, step = problem.call, problem.call.step
    numbers = as_problem(call, call.x, call.states, call.weights)
    P, value = numbers.parameters, forward(numbers).values[0]
    d_new = {s: d.numpy() for s, d in zip(step.state, problem.d_final)}
    d_new[step.state[0]] = d_new[step.state[0]] + problem.d_outputs[0].numpy()
    terms = terms_of(P, numbers.x[0], step, value, d_new, np.ones((call.B, 1), bool))
    value = value | {e: d_new[s] @ P.R[s].T if s in P.R else d_new[s] for s, e in rule.d_new.items()}
    for k, stage in enumerate(step.stages):
        value[rule.d_p[k]] = np.sum([terms.products[g] for g in stage.gates], axis=0)

    expected, right = autograd_of_one_step(problem), adjoint(step)

    nodes: list[Node] = []

    def add(name: str, owner: Owner, got: Array, of: Expression | None = None, needs: str = "") -> None:
        if (name, owner) in expected:
            keys = ((needs, owner),) if needs else ()
            nodes.append(Node(name, owner, expected[name, owner], got, of, keys))

    for prime, kind, expressions in (("'", "state", step.new), ("", "gate", step.gate)):
        for name, e in expressions.items():
            if e in rule.cotangent:
                (got,) = evaluate([rule.cotangent[e]], value, OPERATIONS)
                add(f"d{name}{prime}", (kind, name), got, right.cotangent[e])
    for g in step.inputs:
        add(f"da_{g}", ("gate", g), terms.da[g], right.da[g])
        for name, group in ((f"da_{g} W_{g}^T", "inputs"), (f"dW_{g}", "W"), (f"db_{g}", "b")):
            add(name, ("gate", g), getattr(terms, group)[g], needs=f"da_{g}")
    for g in step.products:
        add(f"dq_{g}", ("gate", g), terms.dq[g], right.dq[g])
        for name, group in ((f"dq_{g} U_{g}^T", "products"), (f"dU_{g}", "U"), (f"dc_{g}", "c")):
            add(name, ("gate", g), getattr(terms, group)[g], needs=f"dq_{g}")
    for s in step.state:
        add(f"d{s}", ("state", s), terms.old[s], right.d_old[s])
    for n in step.vectors:
        add(f"dv_{n}", ("vector", n), terms.v[n], right.dv[n])
    return nodes


def autograd_of_one_step(problem: Problem) -> dict[Key, Array]:
    """The same gradients by autograd of the equations; without those of values that the equations compute twice."""
    step = problem.call.step
    result, (moment,) = unroll_moments(problem.call, problem.cell)
    tensors: dict[Key, torch.Tensor] = {(f"d{s}'", ("state", s)): tensor for s, tensor in moment.new.items()}
    tensors |= {(f"d{g}", ("gate", g)): tensor for g, tensor in moment.gate.items()}
    tensors |= {(f"d{s}", ("state", s)): tensor for s, tensor in moment.old.items()}
    for kind, letter, names, before, side in (
        ("a", "W", step.inputs, moment.a, moment.x), ("q", "U", step.products, moment.q, moment.p)
    ):  # fmt: skip
        tensors |= {(f"d{kind}_{g}", ("gate", g)): before[g] for g in names}
        tensors |= {(f"d{kind}_{g} {letter}_{g}^T", ("gate", g)): side[g] for g in names}
    w = problem.call.weights
    packed = [("gate", "W", w.w_ih, step.inputs), ("gate", "b", w.b_ih, step.inputs)]
    packed += [("gate", "U", w.w_hh, step.products), ("gate", "c", w.b_hh, step.products)]
    packed += [("vector", "v", w.vectors, step.vectors)]
    packed = [p for p in packed if p[2] is not None and p[3]]
    wanted = [*tensors.values(), *(p[2] for p in packed)]
    found = torch.autograd.grad(problem.loss(result), wanted, allow_unused=True)
    by_key = {key: d.numpy() for key, d in zip(tensors, found) if d is not None}
    for (owner, letter, _, names), d in zip(packed, found[len(tensors) :]):
        if d is not None:
            by_key |= {
                (f"d{letter}_{n}", (owner, n)): block.T for n, block in zip(names, np.split(d.numpy(), len(names)))
            }
    return by_key
