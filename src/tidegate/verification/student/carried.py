"""Mistakes in what a step passes to the step before it, while the gradients inside each step are computed rightly."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from tidegate.calculus import Adjoint, Expression, adjoint, infix
from tidegate.calculus.expression import symbol
from tidegate.calculus.substitution import substitute
from tidegate.engines.reference.functions import Array
from tidegate.verification.plant import element_wise_terms
from tidegate.verification.student.mistake import Hypothesis, hypothesis
from tidegate.verification.student.terms import changed, gradient_name
from tidegate.verification.student.trajectory import Moment, Start, Trajectory, step_back, sweep, trajectory_of

MOST_TRUNCATED = 4  # steps back


def carried_mistakes(start: Start) -> Iterator[Hypothesis]:
    yield from without_derivative(start)
    yield from truncated_early(start)
    yield from gates_of_another_step(start)


def without_derivative(start: Start) -> Iterator[Hypothesis]:
    """U^T multiplies the gradient with respect to a gate's value, in the place of that with respect to its product."""
    step, found = start.step, dict[str, Expression]()
    kind = "missing derivative of an activation function"
    for g in step.products:
        e = step.gate[g]
        if len(e.args) == 1:
            found[g] = changed(step, (e.args[0], e), lambda d, term: d).dq[g]
    for owner, back in (*((f"gate {g}", {g: d}) for g, d in found.items()), ("every gate", found)):
        expected = " + ".join(f"U_{g}^T dq_{g}" for g in back)
        names = adjoint(step).names()
        dq = ", ".join(f"dq_{g} = {infix(adjoint(step).dq[g], names)}" for g in back)
        text = (
            f"the derivative of the activation function of {owner} is left out of what comes back from step t + 1, but "
            f"is there in the gradients of the weights; expected {expected} with {dq}."
        )
        yield hypothesis(kind, text, step, partial(sweep, start, back=back))


def truncated_early(start: Start) -> Iterator[Hypothesis]:
    """The gradient of the loss of each step goes back over a few steps only."""
    for steps in range(1, min(MOST_TRUNCATED, len(start.values) - 2) + 1):
        for reach in (steps, steps - 1):
            ending = "s" * (steps > 1)
            text = (
                f"the gradient of the loss of step t goes back over {steps} step{ending} only, to step t - {steps}; it "
                "must go back to step 0."
            )
            compute = partial(truncated, start, steps, reach)
            yield hypothesis("truncated backpropagation", text, start.step, compute)


def truncated(start: Start, steps: int, reach: int) -> Trajectory:
    """Backpropagation in which dy_t reaches the steps t to t - `steps`, and the initial state from t <= `reach`."""
    step, P, rule = start.step, start.numbers.parameters, adjoint(start.step)
    zero = {s: np.zeros_like(value) for s, value in start.numbers.states.items()}
    distant = [zero] * steps  # distant[j]: the gradient that comes from losses j + 1 steps later
    found: list[Moment] = []
    arrived = distant
    for value, dy in zip(reversed(start.values), start.dy[::-1]):
        moments: list[Moment] = []
        arrived = []
        for d_new in ({**zero, step.state[0]: dy}, *distant):
            moment, old = step_back(rule, step, P, value, d_new, {})
            moments.append(moment)
            arrived.append(old)
        whole = {group: added([moment[group] for moment in moments]) for group in moments[0]}
        found.append(whole | {"carried": added(distant)})
        distant = arrived[:steps]
    return trajectory_of(start, found, added(arrived[: reach + 1]))


def added(parts: list[dict[str, Array]]) -> dict[str, Array]:
    return {name: np.sum([part[name] for part in parts], axis=0) for name in parts[0]}


def gates_of_another_step(start: Start) -> Iterator[Hypothesis]:
    """One term of the backward step has a gate of another step as a factor, as f_t for f_{t+1} in dc_t."""
    step, T = start.step, len(start.values)
    for name, target, source in element_wise_terms(step):
        if source is None or source.op != "mul" or source.args[0] is source.args[1]:
            continue
        local = source.args[1 - source.args.index(target)]
        owners = [(g, e) for g, e in step.gate.items() if local is e or local is 1 - e]
        for g, e in owners:
            other = symbol(f"{g} of another step")
            factor = substitute([local], {e: other})[0]
            rule = changed(step, (target, source), lambda d, term, factor=factor: d * factor)
            value = np.stack([values[e] for values in start.values])
            gradient, term = gradient_name(step, target), name.partition(": ")[2]
            for shift, which in ((1, "t + 1"), (-1, "t - 1")):
                text = f"in {gradient}, {g} of step {which} is read where {g} of step t belongs; expected {term}."
                moved = np.roll(value, -shift, axis=0)
                edge = T - 1 if shift == 1 else 0
                for at_edge in (value[edge], np.zeros_like(value[edge]), moved[edge]):
                    rows = [at_edge if t == edge else moved[t] for t in range(T)]
                    values = [known | {other: row} for known, row in zip(start.values, rows)]
                    compute = partial(sweep_of, start, replace(start, values=values), rule)
                    yield hypothesis("value of another step", text, step, compute)


def sweep_of(start: Start, wrong: Start, rule: Adjoint | None = None) -> Trajectory:
    """The sweep reads the values of `wrong`; the operands of the weights' gradients are those of `start`."""
    return replace(sweep(wrong, rule), start=start)
