"""Planted errors: a backward step with one term made wrong on purpose, to test that the comparisons find it."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from tidegate.calculus import Adjoint, Expression, Step, adjoint, infix
from tidegate.calculus.adjoint import differentiate
from tidegate.calculus.expression import constant, subgraph
from tidegate.engines.reference.bptt import Terms
from tidegate.engines.reference.problem import Parameters
from tidegate.errors import ArgumentError
from tidegate.verification.derived import derived_terms


@dataclass(frozen=True)
class Plant:
    """A backward step that is wrong in one term: `name` says which, as "gradient: term".

    `rule` is its Adjoint, and `terms` the same step as an argument of `reference.bptt.backward`.
    """

    name: str
    rule: Adjoint
    terms: Callable[..., Terms]


def plant(step: Step, name: str, factor: float = -1.0) -> Plant:
    """The backward step with the term of that name multiplied by `factor`, which must not be 1.

    `name` is one of `terms_of(step)`, or the part before its colon where that has one term only; ArgumentError lists
    the terms otherwise.
    """
    found = [term for term in plants(step) if name in (term[0], term[0].partition(":")[0])]
    if len(found) != 1:
        problem = f"names {len(found)} terms" if found else "names no term"
        known = "\n  ".join(term[0] for term in found or plants(step))
        raise ArgumentError(f"`plant` {name!r} {problem} of the gradients of {step.name}. Terms:\n  {known}")
    return found[0][1](factor)


def terms_of(step: Step) -> list[str]:
    """Every term of every gradient of the backward step, by name."""
    return [name for name, _ in plants(step)]


def plants(step: Step) -> Iterator[tuple[str, Callable[[float], Plant]]]:
    """Each term by name, and the function that makes its Plant from a factor. No two terms have the same name."""
    seen: Counter[str] = Counter()
    for name, make in (*element_wise_plants(step), *matrix_plants(step)):
        seen[name] += 1
        yield name if seen[name] == 1 else f"{name} ({seen[name]})", make


def element_wise_plants(step: Step) -> Iterator[tuple[str, Callable[[float], Plant]]]:
    for name, target, source in element_wise_terms(step):

        def make(factor: float, name: str = name, key: tuple = (target, source)) -> Plant:
            def each(at: Expression, of: Expression | None, term: Expression) -> Expression:
                return constant(factor) * term if (at, of) == key else term

            rule = differentiate(step, each=each)
            return Plant(name, rule, derived_terms(rule))

        yield name, make


def matrix_plants(step: Step) -> Iterator[tuple[str, Callable[[float], Plant]]]:
    for name, group, gate in matrix_terms(step):

        def make(factor: float, name: str = name, group: str = group, gate: str = gate) -> Plant:
            right = derived_terms(adjoint(step))

            def wrong(P: Parameters, *rest: Any) -> Terms:
                if group == "products":  # the backward pass multiplies by U nowhere else
                    return right(replace(P, U={**P.U, gate: factor * P.U[gate]}), *rest)
                terms = right(P, *rest)
                return replace(terms, **{group: getattr(terms, group) | {gate: factor * getattr(terms, group)[gate]}})

            return Plant(name, adjoint(step), wrong)

        yield name, make


def element_wise_terms(step: Step) -> Iterator[tuple[str, Expression, Expression | None]]:
    """(name, target, source) of every term that the reverse sweep adds up, without terms that are zero."""
    arrived: dict[tuple[Expression, Expression | None], Expression] = {}

    def watch(target: Expression, source: Expression | None, term: Expression) -> Expression:
        if term.value != 0:
            arrived[target, source] = term
        return term

    rule = differentiate(step, each=watch)
    names = rule.names()
    leaves = {*step.a.values(), *step.q.values(), *step.old.values(), *step.v.values()}
    for (target, source), term in arrived.items():
        if leaves.isdisjoint(subgraph([target])):
            continue  # the gradient with respect to a number is used nowhere
        yield f"{cotangent_name(step, target)}: {infix(term, names)}", target, source


def cotangent_name(step: Step, e: Expression) -> str:
    named = {leaf: f"dq_{g}" for g, leaf in step.q.items()} | {leaf: f"da_{g}" for g, leaf in step.a.items()}
    named |= {leaf: f"dv_{n}" for n, leaf in step.v.items()} | {leaf: f"d{s}" for s, leaf in step.old.items()}
    own = step.names() | {leaf: name.removeprefix("d") for leaf, name in named.items()}
    return f"d{own[e]}" if e in own else f"d({infix(e, step.names())})"


def matrix_terms(step: Step) -> Iterator[tuple[str, str, str]]:
    """(name, group of Terms, gate) of the products and sums around the element-wise part, without those of zero."""
    rule = adjoint(step)
    for k, stage in enumerate(step.stages):
        for g in stage.gates:
            if rule.dq[g].value != 0:
                yield f"dp_{k}: dq_{g} U_{g}^T", "products", g
    for g in (g for g in step.inputs if rule.da[g].value != 0):
        yield f"dx: da_{g} W_{g}^T", "inputs", g
        yield f"dW_{g}: x^T da_{g}", "W", g
        yield f"db_{g}: da_{g}", "b", g
    for g in (g for g in step.products if rule.dq[g].value != 0):
        yield f"dU_{g}: p^T dq_{g}", "U", g
        yield f"dc_{g}: dq_{g}", "c", g
