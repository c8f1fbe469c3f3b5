"""The quantities that are compared, as arrays by name, from each way of computing them.

y, h_T, c_T: outputs and final states. dx, dh_0, dc_0, dW_ih, dW_hh, db_ih, db_hh, dv, dW_hr: the gradients of the
problem's loss, packed as torch.nn packs the parameters.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from tidegate.calculus import Step, adjoint
from tidegate.engines import Call, Result
from tidegate.engines.reference.bptt import Terms, backward, forward, terms_of_step
from tidegate.engines.reference.functions import Array
from tidegate.engines.reference.problem import Gradients, as_problem, numpy64
from tidegate.engines.reference.rtrl import rtrl
from tidegate.verification.derived import derived_terms
from tidegate.verification.differences import differentiate
from tidegate.verification.plant import Plant
from tidegate.verification.problem import Problem

Values = dict[str, Array]


def by_bptt(problem: Problem, plant: Plant | None = None) -> Values:
    """The derived backpropagation through time, in NumPy and float64; or one with a planted error."""
    return by_backward(problem, derived_terms(adjoint(problem.call.step)) if plant is None else plant.terms)


def by_reference(problem: Problem) -> Values:
    """Backpropagation through time with the reference's own derivatives, which the derived Adjoint does not use."""
    return by_backward(problem, terms_of_step)


def by_backward(problem: Problem, terms: Callable[..., Terms]) -> Values:
    numbers, d_outputs, d_final = as_numbers(problem)
    tape = forward(numbers)
    found = backward(numbers, tape, d_outputs, d_final, terms=terms)
    return {"y": tape.outputs, **{f"{s}_T": final for s, final in tape.final.items()}, **as_values(problem, found)}


def by_rtrl(problem: Problem) -> Values:
    """Real-time recurrent learning; gradients only."""
    numbers, d_outputs, d_final = as_numbers(problem)
    return as_values(problem, rtrl(numbers, d_outputs, d_final))


def by_autograd(problem: Problem, run: Callable[[Call], Result]) -> Values:
    """The results of `run`, differentiated by torch."""
    result = run(problem.call)
    leaves = {name: leaf for name, leaf in problem.leaves().items() if leaf.numel()}
    found = torch.autograd.grad(problem.loss(result), list(leaves.values()), materialize_grads=True, allow_unused=True)
    values = {"y": result.outputs, **{f"{s}_T": final for s, final in zip(problem.call.step.state, result.states)}}
    return {n: numpy64(v) for n, v in (values | {f"d{name}": d for name, d in zip(leaves, found)}).items()}


def by_differences(problem: Problem, run: Callable[[Call], Result], seed: int) -> tuple[Values, dict[str, float]]:
    """Finite differences of the loss of the results of `run`, NaN at omitted entries; and their estimated errors."""
    values: Values = {}
    errors: dict[str, float] = {}
    for name, tensor in problem.leaves().items():
        if not tensor.numel():
            continue
        found = differentiate(lambda moved, name=name: problem.loss(run(problem.with_leaf(name, moved))), tensor, seed)
        full = torch.full_like(tensor, torch.nan).flatten()
        full[found.entries] = found.values
        values[f"d{name}"], errors[f"d{name}"] = full.detach().view_as(tensor).numpy(), found.error
    return values, errors


def as_numbers(problem: Problem):
    call = problem.call
    numbers = as_problem(call, call.x, call.states, call.weights)
    return numbers, numpy64(problem.d_outputs), dict(zip(call.step.state, map(numpy64, problem.d_final)))


def as_values(problem: Problem, found: Gradients) -> Values:
    """Gradients under the names of the problem's leaves; a cell without products has no dW_hh and no db_hh."""
    names = ("W_ih", "W_hh", "b_ih", "b_hh", "v", "W_hr")
    every = {"x": found.x} | {f"{s}_0": d for s, d in found.states.items()} | dict(zip(names, found.packed()))
    leaves = {name: leaf for name, leaf in problem.leaves().items() if leaf.numel()}
    return {f"d{name}": np.asarray(every[name]) for name in leaves}


def is_gradient(quantity: str) -> bool:
    """Whether the quantity is a gradient; the others are the outputs "y" and the final states, such as "h_T"."""
    return quantity != "y" and not quantity.endswith("_T")


def blocks(step: Step, quantity: str, array: Array) -> Iterator[tuple[str, Array]]:
    """(gate or vector, its part of the array), or ("", the array) for a quantity that belongs to no gate."""
    owners = {"dW_ih": step.inputs, "db_ih": step.inputs, "dW_hh": step.products, "db_hh": step.products}
    owners |= {"dv": step.vectors}
    if quantity not in owners:
        yield "", array
        return
    yield from zip(owners[quantity], np.split(array, len(owners[quantity])))
