"""Mistakes in the backward pass: the recursion over time, the terms of a step, and their local derivatives.

Each is planted in the Adjoint or in the sweep over time, so it is known for every cell.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tidegate.calculus import Adjoint, Expression, Step, adjoint, infix, operations
from tidegate.calculus.adjoint import differentiate
from tidegate.calculus.derivative import add_up, pull_back, signed_factors
from tidegate.calculus.expression import apply, as_expression, constant
from tidegate.calculus.substitution import substitute
from tidegate.verification.plant import cotangent_name, element_wise_terms
from tidegate.verification.student.mistake import Gradients, Hypothesis, Mistake
from tidegate.verification.student.trajectory import Start, shifted, sweep

LINEAR = ("add", "sub", "neg")
SWAPPED = {"tanh": "sigmoid", "sigmoid": "tanh"}


def backward_mistakes(start: Start) -> Iterator[Hypothesis]:
    yield from recursion(start)
    yield from outputs(start)
    yield from matrices(start)
    yield from terms(start)
    yield from derivatives(start)
    yield from wrong_values(start)


def hypothesis(kind: str, text: str, start: Start, *, dy: Any = None, **changes: Any) -> Hypothesis:
    def compute() -> Gradients:
        trajectory = sweep(start if dy is None else replace(start, dy=dy), **changes)
        return Gradients(trajectory.blocks, trajectory)

    return Hypothesis(Mistake(kind, readable(start.step, text)), compute)


def readable(step: Step, text: str) -> str:
    """The text with the products of each stage in the place of their sum's name, d_p0."""
    for k, stage in enumerate(step.stages):
        products = " + ".join(f"U_{g}^T dq_{g}" for g in stage.gates)
        text = re.sub(rf"\bd_p{k}\b", products if len(stage.gates) == 1 else f"({products})", text)
    return text


def recursion(start: Start) -> Iterator[Hypothesis]:
    """What is carried from step t + 1 to step t is left out; the initial state has its gradient, or none."""
    step = start.step
    states, none = " and ".join(step.state), dict.fromkeys(step.state, 0.0)
    text = f"the gradient with respect to {states} at step t lacks what comes back from step t + 1; only dy_t enters."
    for first in (none, {}):
        yield hypothesis("missing recurrent term", text, start, kept=none, first_kept=first)
    for s in step.state if len(step.state) > 1 else ():
        for first in ({s: 0.0}, {}):
            kind, text = without_next(step, s)
            yield hypothesis(kind, text, start, kept={s: 0.0}, first_kept=first)
    text = "what comes back from step t + 1 is subtracted; it must be added."
    for first in (dict.fromkeys(step.state, -1.0), {}):
        kept = dict.fromkeys(step.state, -1.0)
        yield hypothesis("wrong sign of the recurrent term", text, start, kept=kept, first_kept=first)


def without_next(step: Step, s: str) -> tuple[str, str]:
    """The kind and text of the mistake that the gradient of one state does not come back from the next step."""
    back = infix(adjoint(step).d_old[s], adjoint(step).names())
    text = f"d{s} of step t lacks what comes back from {s} of step t + 1; expected {back}, all of step t + 1."
    return f"missing gradient of the next step's {s}", text


def outputs(start: Start) -> Iterator[Hypothesis]:
    """dy enters in another way than as a sum over all steps and sequences."""
    (T, B, _), dy = start.dy.shape, start.dy
    last, first = (np.where(np.arange(T)[:, None, None] == t, dy, 0) for t in (T - 1, 0))
    loss, belongs = "the loss is the sum of y * dy.", "it must be added to dh_t at every step."
    for kind, text, wrong in (
        ("wrong sign of the loss", "every gradient is -1 times the right one.", -dy),
        ("mean instead of sum over t", f"every gradient is divided by T = {T}; {loss}", dy / T),
        ("mean instead of sum over the batch", f"every gradient is divided by B = {B}; {loss}", dy / B),
        (
            "mean instead of sum over t and the batch",
            f"every gradient is divided by T B = {T * B}; {loss}",
            dy / (T * B),
        ),
        ("mean instead of sum over all outputs", f"every gradient is divided by {dy.size}; {loss}", dy / dy.size),
        ("dy of the last step only", f"dy_t is added at the last step only; {belongs}", last),
        ("dy of the first step only", f"dy_t is added at the first step only; {belongs}", first),
        ("dy in reverse order", "dy is read from its first row on, while the sweep begins at the last step.", dy[::-1]),
        ("dy of another step", "dy_{t-1} is added to dh_t in the place of dy_t.", shifted(dy, 1)),
        ("dy of another step", "dy_{t+1} is added to dh_t in the place of dy_t.", shifted(dy, -1)),
    ):
        yield hypothesis(kind, text, start, dy=wrong)


def matrices(start: Start) -> Iterator[Hypothesis]:
    """U of the backward products is transposed, left out or has the wrong sign; W of dx is transposed."""
    step, P = start.step, start.numbers.parameters

    def each(gates: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
        if len(gates) > 1:
            yield "every gate", gates
        yield from ((f"gate {g}", (g,)) for g in gates)

    for owner, gates in each(step.products):
        products = " + ".join(f"U_{g}^T dq_{g}" for g in gates)
        for kind, text, change in (
            (
                "transposed weight",
                f"the backward pass multiplies by U, not by its transpose, for {owner}",
                np.transpose,
            ),
            (
                "missing recurrent term",
                f"the product with U is left out of the backward pass for {owner}",
                np.zeros_like,
            ),
            ("wrong sign", f"the product with U has the wrong sign in the backward pass for {owner}", np.negative),
        ):
            yield hypothesis(kind, f"{text}; expected {products}.", start, U={g: change(P.U[g]) for g in gates})
    if start.numbers.x.shape[2] == start.dy.shape[2]:
        for owner, gates in each(step.inputs):
            text = f"dx multiplies by W, not by its transpose, for {owner}; expected W^T da."
            yield hypothesis("transposed weight", text, start, W={g: P.W[g].T for g in gates})


Change = Callable[[Expression, Expression], Expression]


def changed(step: Step, key: tuple[Expression, Expression | None], change: Change) -> Adjoint:
    """The Adjoint with one term changed: `change` gets the gradient with respect to its source, and the term."""
    arrived: dict[Expression, list[Expression]] = {}

    def each(target: Expression, source: Expression | None, term: Expression) -> Expression:
        if (target, source) == key:
            term = change(add_up(arrived[source]) if source is not None else term, term)
        arrived.setdefault(target, []).append(term)
        return term

    return differentiate(step, each=each)


def terms(start: Start) -> Iterator[Hypothesis]:
    """A term of the backward step is left out or has the wrong sign."""
    step = start.step
    for name, target, source in element_wise_terms(step):
        gradient, term = gradient_name(step, target), name.partition(": ")[2]
        key = target, source
        carried = source is None and next((s for s in step.state[1:] if step.new[s] is target), None)
        kind, text = "missing term", f"the term {term} is left out of {gradient}."
        yield hypothesis(
            *(without_next(step, carried) if carried else (kind, text)), start,
            rule=changed(step, key, lambda d, term: constant(0)),
        )  # fmt: skip
        yield hypothesis(
            "wrong sign", f"the term of {gradient} has the wrong sign; expected {term}.", start,
            rule=changed(step, key, lambda d, term: -term),
        )  # fmt: skip


def derivatives(start: Start) -> Iterator[Hypothesis]:
    """The local derivative of a term is left out, incomplete, of another function, or taken at the wrong value."""
    step = start.step
    for name, target, source in element_wise_terms(step):
        if source is None or source.op in LINEAR:
            continue
        gradient, term = gradient_name(step, target), name.partition(": ")[2]
        names, position = step.names(), source.args.index(target)
        local = pull_back(source, constant(1))[position]
        function = len(source.args) == 1
        factor = infix(local, names, outermost=False)
        what = f"the derivative of {source.op}, {factor}," if function else f"the factor {factor}"

        def planted(kind: str, text: str, slope: Expression, key: tuple = (target, source)) -> Hypothesis:
            return hypothesis(kind, text, start, rule=changed(step, key, lambda d, term: d * slope))

        kind = "missing derivative of an activation function" if function else "missing factor"
        yield planted(kind, f"{what} is left out of {gradient}; expected {term}.", constant(1))
        if not function:
            continue
        for wrong, text in wrong_slopes(step, source, local):
            yield planted(
                "wrong derivative of an activation function", f"in {gradient}, {text}; expected {factor}.", wrong
            )


def gradient_name(step: Step, e: Expression) -> str:
    """The name of the gradient with respect to `e`: that of a pre-activation where the two are the same."""
    rule = adjoint(step)
    same = [f"da_{g}" for g in step.inputs if rule.da[g] is rule.cotangent.get(e)]
    same += [f"dq_{g}" for g in step.products if rule.dq[g] is rule.cotangent.get(e)]
    own = {*step.gate.values(), *step.new.values()}
    return same[0] if same and e not in own else cotangent_name(step, e)


def wrong_slopes(step: Step, y: Expression, local: Expression) -> Iterator[tuple[Expression, str]]:
    """Wrong expressions for the derivative of y = f(x), and how each is wrong."""
    (x,), names, f = y.args, step.names(), y.op
    at_x, at_f = (substitute([local], {y: e})[0] for e in (x, apply(f, y)))
    yield at_x, f"the derivative of {f} is computed from its argument {infix(x, names)}, where its value belongs"
    yield at_f, f"{f} is applied to {infix(y, names, outermost=False)} once more inside its derivative"
    state = next((s for s, e in step.new.items() if e is y), None)
    if state is not None:
        text = (
            f"the derivative of {f} is computed from {state} before the step, {state}_{{t-1}}, where {state}_t belongs"
        )
        yield substitute([local], {y: step.old[state]})[0], text
    if f in SWAPPED:
        derivative = operations.find(SWAPPED[f]).derivative
        assert derivative is not None
        other = as_expression(derivative(constant(1), y, x)[0])
        yield other, f"{infix(other, names)} is the derivative of {SWAPPED[f]}, not of {f}"
    _, factors = signed_factors(local, ())
    for factor in factors if len(factors) > 1 else ():
        left = next(e for e in factors if e is not factor) if len(factors) == 2 else None
        if left is not None:
            yield left, f"the factor {infix(factor, names)} of the derivative of {f} is left out"
    if f == "tanh":
        yield 1 - y, f"the square is left out of the derivative of {f}"


def wrong_values(start: Start) -> Iterator[Hypothesis]:
    """The backward step reads a forward value of another step, or a state after the step for that before it."""
    step = start.step

    def read(values: list) -> Start:
        return replace(start, values=values)

    def only_leaves(value: Mapping) -> dict:
        named = {*step.gate.values(), *step.new.values()}
        return {e: v for e, v in value.items() if e.op == "leaf" or e in named}

    for s in step.state:
        old, new = step.old[s], step.new[s]
        for kind, text, place, instead in (
            ("h_t in the place of h_{t-1}", f"{s}_t is read where {s}_{{t-1}}, before the step, belongs", old, new),
            ("h_{t-1} in the place of h_t", f"{s}_{{t-1}} is read where {s}_t, after the step, belongs", new, old),
        ):
            values = [only_leaves(v) | {place: v[instead]} for v in start.values]
            yield wrong_trajectory(kind, f"in the backward step, {text}.", start, read(values))
    for g, e in step.gate.items():
        for shift, which in ((1, "t + 1"), (-1, "t - 1")):
            order = np.clip(np.arange(len(start.values)) + shift, 0, len(start.values) - 1)
            values = [only_leaves(v) | {e: start.values[t][e]} for v, t in zip(start.values, order)]
            text = f"in the backward step, {g} of step {which} is read where {g} of step t belongs."
            yield wrong_trajectory("value of another step", text, start, read(values))


def wrong_trajectory(kind: str, text: str, start: Start, wrong: Start) -> Hypothesis:
    """The sweep reads the values of `wrong`; the operands of the weights' gradients are those of `start`."""

    def compute() -> Gradients:
        trajectory = replace(sweep(wrong), start=start)
        return Gradients(trajectory.blocks, trajectory)

    return Hypothesis(Mistake(kind, text), compute)
