"""Mistakes in one tensor: how its sum over time and sequences is formed, its sign, its shape, its place in time."""

from collections.abc import Iterator

import numpy as np

from tidegate.engines.reference.functions import Array
from tidegate.verification.student.mistake import Mistake
from tidegate.verification.student.trajectory import Key, Trajectory, shifted

Wrong = tuple[Mistake, Array]


def wrong_totals(trajectory: Trajectory, key: Key) -> Iterator[Wrong]:
    """Every mistake in the tensor or block of that key, with the array that it leads to."""
    right = trajectory.blocks[key]
    T, B, _ = trajectory.start.dy.shape
    yield from factors(key, right, T, B)
    if key in trajectory.sums:
        yield from sums_of(trajectory, key)
    elif key[0] == "dx":
        yield from inputs(trajectory)
    elif key[0].endswith("_0"):
        s = key[0][1:-2]
        name, text = "gradient of another step", f"this is the gradient with respect to {s} after the first step"
        yield Mistake(name, f"{text}; one step more leads to {s}_0."), trajectory.d_state[s][0]
    if right.ndim == 3:
        yield from in_time(trajectory, key, right)


def factors(key: Key, right: Array, T: int, B: int) -> Iterator[Wrong]:
    yield Mistake("wrong sign", "the gradient is -1 times the right one."), -right
    yield Mistake("gradient is zero", "the gradient is zero."), np.zeros_like(right)
    for kind, factor, text in (
        ("mean instead of sum over t", 1 / T, f"T = {T}"), ("mean instead of sum over the batch", 1 / B, f"B = {B}"),
        ("mean instead of sum over t and the batch", 1 / (T * B), f"T B = {T * B}"),
    ):  # fmt: skip
        yield Mistake(kind, f"the gradient is the right one divided by {text}."), factor * right


def sums_of(trajectory: Trajectory, key: Key) -> Iterator[Wrong]:
    """Mistakes in a sum over t and b."""
    one = trajectory.sums[key]
    left, right = one.left, one.right
    T, B = left.shape[:2]
    for kind, text, steps in (
        ("missing sum over t", f"only the term of the last step, t = {T - 1}, is there", slice(T - 1, T)),
        ("missing sum over t", "only the term of the first step, t = 0, is there", slice(0, 1)),
        ("a step is left out of the sum over t", "the term of the first step, t = 0, is left out", slice(1, T)),
        ("a step is left out of the sum over t", "the term of the last step is left out", slice(0, T - 1)),
    ):  # fmt: skip
        wrong = one.total(left[steps], None if right is None else right[steps])
        yield Mistake(kind, f"{text}; expected the sum over t = 0 to {T - 1}."), wrong
    for text, one_sequence in (("first", slice(0, 1)), ("last", slice(B - 1, B))):
        wrong = one.total(left[:, one_sequence], None if right is None else right[:, one_sequence])
        text = f"only the terms of the {text} sequence are there; expected the sum over b = 0 to {B - 1}."
        yield Mistake("missing sum over the batch", text), wrong
    for what, instead in one.others.items():
        text = f"the second factor is {what}; expected {expected_factor(trajectory, key)}."
        kind = "x of another step" if key[0] == "dweight_ih" else "h_t in the place of h_{t-1}"
        yield Mistake(kind if "after" in what or kind[0] == "x" else "wrong operand", text), one.total(left, instead)
    for g, other in (*trajectory.da.items(), *trajectory.dq.items()):
        if other is not left:
            kind = "da" if g in trajectory.da and other is trajectory.da[g] else "dq"
            expected = f"{'da' if key[0].endswith('ih') else 'dq'}_{key[1]}" if key[0] != "dvector" else "its own"
            text = f"the gradient is computed from {kind}_{g}; expected {expected}."
            yield Mistake("error term of another gate or product", text), one.total(other)
    total = one.total()
    if total.ndim == 2 and total.shape[0] == total.shape[1]:
        yield (
            Mistake("transposed weight", "the gradient is transposed; its row j must belong to row j of the weight."),
            total.T,
        )


def factor_of(trajectory: Trajectory, key: Key) -> str:
    from tidegate.verification.numbers import operand_of

    return "x" if key[0] == "dweight_ih" else operand_of(trajectory.start.step, key[1])


def expected_factor(trajectory: Trajectory, key: Key) -> str:
    """The second factor of the terms of a sum, with its step: a state is that before the step."""
    name = factor_of(trajectory, key)
    if key[0] == "dweight_ih":
        return f"{name} of step t"
    if name in trajectory.start.step.state:
        return f"{name} of step t - 1"
    return f"{name} of step t, computed from the states of step t - 1"


def inputs(trajectory: Trajectory) -> Iterator[Wrong]:
    """dx: a gate's term is missing, or is the only one."""
    terms, every = trajectory.inputs, np.sum(list(trajectory.inputs.values()), axis=0)
    expected = " + ".join(f"W_{g}^T da_{g}" for g in terms)
    for g, term in terms.items() if len(terms) > 1 else ():
        yield (
            Mistake("missing term", f"the term W_{g}^T da_{g} of gate {g} is left out; expected {expected}."),
            every - term,
        )
        yield Mistake("missing term", f"only the term W_{g}^T da_{g} of gate {g} is there; expected {expected}."), term


def in_time(trajectory: Trajectory, key: Key, right: Array) -> Iterator[Wrong]:
    """A tensor with a row for each step: its rows in another order, or a part of what belongs into them."""
    T = len(right)
    if key[0] == "y":
        return
    yield Mistake("steps in reverse order", "row t is the gradient of step T - 1 - t."), right[::-1]
    yield Mistake("gradient of another step", "row t is the gradient of step t + 1."), shifted(right, -1)
    yield Mistake("gradient of another step", "row t is the gradient of step t - 1."), shifted(right, 1)
    last = np.where(np.arange(T)[:, None, None] == T - 1, right, 0)
    yield Mistake("gradient of the last step only", f"the rows before t = {T - 1} are zero."), last
    s = key[0][1:]
    if s in trajectory.carried:
        carried = trajectory.carried[s]
        text = (
            f"this is the part that comes back from step t + 1; expected the gradient with respect to {s}_t, all terms."
        )
        yield Mistake("missing gradient of the step itself", text), carried
        before = np.concatenate([trajectory.initial[s][None], carried[:-1]])
        text = f"row t is the gradient with respect to {s}_{{t-1}}, without dy; expected that with respect to {s}_t."
        yield Mistake("gradient of another step", text), before
