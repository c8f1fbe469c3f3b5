"""Mistakes in the backward pass over time: the recursion, dy, the matrices, and values of another step.

Those inside a step are in `terms.py`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import combinations

import numpy as np

from tidegate.calculus import Step
from tidegate.engines.reference.functions import Array
from tidegate.verification.student.carried import carried_mistakes, sweep_of
from tidegate.verification.student.mistake import Hypothesis, hypothesis
from tidegate.verification.student.terms import term_mistakes, without_next
from tidegate.verification.student.trajectory import Start, Trajectory, shifted, sweep


def backward_mistakes(start: Start) -> Iterator[Hypothesis]:
    yield from recursion(start)
    yield from outputs(start)
    yield from matrices(start)
    yield from term_mistakes(start)
    yield from carried_mistakes(start)
    yield from wrong_values(start)
    yield from exchanged_gates(start)


def recursion(start: Start) -> Iterator[Hypothesis]:
    """What is carried from step t + 1 to step t is left out; the initial state has its gradient, or none."""
    step = start.step
    states, none = " and ".join(step.state), dict.fromkeys(step.state, 0.0)
    text = f"the gradient with respect to {states} at step t lacks what comes back from step t + 1; only dy_t enters."
    for first in (none, {}):
        yield hypothesis("missing recurrent term", text, step, partial(sweep, start, kept=none, first_kept=first))
    for s in step.state if len(step.state) > 1 else ():
        for first in ({s: 0.0}, {}):
            kind, text = without_next(step, s)
            yield hypothesis(kind, text, step, partial(sweep, start, kept={s: 0.0}, first_kept=first))
    text = "what comes back from step t + 1 is subtracted; it must be added."
    for first in (dict.fromkeys(step.state, -1.0), {}):
        kept = dict.fromkeys(step.state, -1.0)
        compute = partial(sweep, start, kept=kept, first_kept=first)
        yield hypothesis("wrong sign of the recurrent term", text, step, compute)


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
        yield hypothesis(kind, text, start.step, partial(sweep, replace(start, dy=wrong)))


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
            changed = {g: change(P.U[g]) for g in gates}
            yield hypothesis(kind, f"{text}; expected {products}.", step, partial(sweep, start, U=changed))
    if start.numbers.x.shape[2] == start.dy.shape[2]:
        for owner, gates in each(step.inputs):
            text = f"dx multiplies by W, not by its transpose, for {owner}; expected W^T da."
            changed = {g: P.W[g].T for g in gates}
            yield hypothesis("transposed weight", text, step, partial(sweep, start, W=changed))


def wrong_values(start: Start) -> Iterator[Hypothesis]:
    """The backward step reads a forward value of another step, or a state after the step for that before it."""
    step = start.step

    def read(values: list) -> Start:
        return replace(start, values=values)

    for s in step.state:
        old, new = step.old[s], step.new[s]
        for kind, text, place, instead in (
            ("h_t in the place of h_{t-1}", f"{s}_t is read where {s}_{{t-1}}, before the step, belongs", old, new),
            ("h_{t-1} in the place of h_t", f"{s}_{{t-1}} is read where {s}_t, after the step, belongs", new, old),
        ):
            values = [only_leaves(step, v) | {place: v[instead]} for v in start.values]
            yield hypothesis(kind, f"in the backward step, {text}.", step, partial(sweep_of, start, read(values)))
    for g, e in step.gate.items():
        for shift, which in ((1, "t + 1"), (-1, "t - 1")):
            order = np.clip(np.arange(len(start.values)) + shift, 0, len(start.values) - 1)
            values = [only_leaves(step, v) | {e: start.values[t][e]} for v, t in zip(start.values, order)]
            text = f"in the backward step, {g} of step {which} is read where {g} of step t belongs."
            yield hypothesis("value of another step", text, step, partial(sweep_of, start, read(values)))


def only_leaves(step: Step, value: Mapping) -> dict:
    """The values from which the backward step computes all others."""
    named = {*step.gate.values(), *step.new.values()}
    return {e: v for e, v in value.items() if e.op == "leaf" or e in named}


def exchanged_gates(start: Start) -> Iterator[Hypothesis]:
    """The backward step reads one gate for another, or stores the gradients of two gates in each other's place."""
    step, P = start.step, start.numbers.parameters
    kind = "gates exchanged in the backward pass"
    for (g, e), (h, f) in combinations(step.gate.items(), 2):
        if e.op == f.op:
            values = [only_leaves(step, v) | {e: v[f], f: v[e]} for v in start.values]
            text = f"{h} is read where {g} belongs, and {g} where {h} belongs; in the forward pass they are right."
            yield hypothesis(kind, text, step, partial(sweep_of, start, replace(start, values=values)))
        blocks = [g in names and h in names for names in (step.inputs, step.products)]
        if all(blocks) and step.stage_of(g) == step.stage_of(h):
            other = {g: h, h: g}
            matrices = {name: {a: getattr(P, name)[b] for a, b in other.items()} for name in "WU"}
            text = (
                f"the gradients da_{g} and da_{h} stand in each other's place, as rows of the weights' gradients and "
                f"before the products with W and U; the order of the gates is {', '.join(step.gates)}."
            )
            yield hypothesis(kind, text, step, partial(stored_in_turn, start, other, matrices))


def stored_in_turn(start: Start, other: Mapping[str, str], matrices: Mapping[str, Mapping[str, Array]]) -> Trajectory:
    found = sweep(start, U=matrices["U"], W=matrices["W"])

    def turned(each: Mapping[str, Array]) -> dict[str, Array]:
        return {g: each[other.get(g, g)] for g in each}

    return replace(found, da=turned(found.da), dq=turned(found.dq), inputs=turned(found.inputs))
