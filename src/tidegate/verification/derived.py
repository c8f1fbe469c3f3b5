"""The derived backward pass in NumPy: the Adjoint of a step, evaluated in float64. It is what `verify` checks."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tidegate.calculus import Adjoint, Step, evaluate
from tidegate.engines.reference.bptt import ElementWise, Terms, Values, terms_of_step
from tidegate.engines.reference.functions import OPERATIONS, Array
from tidegate.engines.reference.problem import Parameters


def derived_terms(rule: Adjoint) -> Callable[..., Terms]:
    """One backward step by the expressions of `rule`, as an argument of `reference.bptt.backward`."""
    return partial(terms_of_step, backward_step=partial(by_rule, rule))


def by_rule(
    rule: Adjoint,
    step: Step,
    P: Parameters,
    value: Values,
    d_new: Mapping[str, Array],
    alive: NDArray[np.bool_],
    d_gate: Mapping[str, Array] | None,
) -> ElementWise:
    """The expressions of the rule, stage by stage from the last to the first."""
    full = np.zeros((len(alive), P.W[step.inputs[0]].shape[1]))  # gives a gradient that is the number 0 its shape
    value = value | {e: d_new[s] for s, e in rule.d_new.items()}
    if d_gate is not None:
        value |= {e: d_gate[g] for g, e in rule.d_gate.items()}
    dq: dict[str, Array] = {}
    products: dict[str, Array] = {}
    for k, stage in reversed(list(enumerate(step.stages))):
        found = evaluate([rule.dq[g] for g in stage.gates], value, OPERATIONS)
        dq |= {g: np.where(alive, d, full) for g, d in zip(stage.gates, found)}
        products |= {g: dq[g] @ P.U[g].T for g in stage.gates}
        value[rule.d_p[k]] = np.sum([products[g] for g in stage.gates], axis=0)
    da, dv, old = (
        {name: np.where(alive, d, zero) for name, d in zip(each, evaluate(list(each.values()), value, OPERATIONS))}
        for each, zero in ((rule.da, full), (rule.dv, full), (rule.d_old, 0))
    )
    old = {s: np.broadcast_to(d, value[step.old[s]].shape) for s, d in old.items()}
    return ElementWise(dq, da, dv, old, products)
