"""The gradients of every step of a sequence, by the Adjoint or by a wrong backward step, and their sums over time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from tidegate.calculus import Adjoint, Expression, Step, adjoint, evaluate
from tidegate.engines.reference import problem as reference
from tidegate.engines.reference.bptt import Values, forward
from tidegate.engines.reference.functions import OPERATIONS, Array
from tidegate.engines.reference.problem import Parameters
from tidegate.verification.derived import by_rule
from tidegate.verification.problem import Problem
from tidegate.verification.values import as_numbers

#: The gradients of one step, by group and name, as in a Trajectory.
Moment = dict[str, dict[str, Array]]
Key = tuple[str, str]  # the name of a tensor, and the gate or vector of the block; "" where a tensor is one block


@dataclass(frozen=True)
class Start:
    """What a backward pass begins with: the numbers of the problem, every forward value of every step, and dy."""

    numbers: reference.Problem
    values: list[Values]
    outputs: Array
    dy: Array
    bias: bool

    @property
    def step(self) -> Step:
        return self.numbers.step


@dataclass(frozen=True)
class Sum:
    """A parameter's gradient as a sum: over t and b of left (T, B, H) times right (T, B, K), (H, K); or of left, (H,).

    others: further arrays that could be mistaken for `right`, by a description.
    """

    left: Array
    right: Array | None
    others: Mapping[str, Array]

    def total(self, left: Array | None = None, right: Array | None = None) -> Array:
        """The sum, with other arrays in the place of `left` or `right`, which may be parts of them."""
        left = self.left if left is None else left
        right = self.right if right is None else right
        return left.sum((0, 1)) if right is None else np.einsum("tbh,tbk->hk", left, right)


@dataclass(frozen=True)
class Trajectory:
    """Gradients of every step, (T, B, H) by name: d_state with respect to the states after the step, da, dq, dv.

    carried: the part of d_state that comes from step t + 1. inputs: each gate's term of dx (T, B, D). initial: the
    gradients with respect to the initial states (B, H).
    """

    start: Start
    d_state: dict[str, Array]
    carried: dict[str, Array]
    da: dict[str, Array]
    dq: dict[str, Array]
    dv: dict[str, Array]
    inputs: dict[str, Array]
    initial: dict[str, Array]

    @cached_property
    def sums(self) -> dict[Key, Sum]:
        """The sum of each block of each parameter."""
        return dict(self._sums())

    def _sums(self) -> Iterator[tuple[Key, Sum]]:
        start, step = self.start, self.start.step
        x = start.numbers.x
        later, earlier = shifted(x, -1), shifted(x, 1)
        for g in step.inputs:
            yield ("dweight_ih", g), Sum(self.da[g], x, {"x of step t - 1": earlier, "x of step t + 1": later})
        for g in step.products:
            operand = step.stages[step.stage_of(g)].operand
            p, others = operand_of(start, g), {}
            for s in step.state:
                old, new = (np.stack([value[e[s]] for value in start.values]) for e in (step.old, step.new))
                others |= {f"{s} of step t, after the step": new, f"{s} of step t - 1": old}
            moved = [value | {step.old[s]: value[e] for s, e in step.new.items()} for value in start.values]
            if operand.op != "leaf":
                after = np.stack([evaluate([operand], without(value, operand), OPERATIONS)[0] for value in moved])
                others |= {"its operand computed with the state after the step": after}
            others |= {"its operand of step t - 1": shifted(p, 1), "its operand of step t + 1": shifted(p, -1)}
            yield ("dweight_hh", g), Sum(self.dq[g], p, others)
        if start.bias:
            yield from ((("dbias_ih", g), Sum(self.da[g], None, {})) for g in step.inputs)
            yield from ((("dbias_hh", g), Sum(self.dq[g], None, {})) for g in step.products)
        yield from ((("dvector", n), Sum(self.dv[n], None, {})) for n in step.vectors)

    @cached_property
    def blocks(self) -> dict[Key, Array]:
        """Every gradient that a student may return, under its name, parameters gate by gate; and the outputs y."""
        found: dict[Key, Array] = {("y", ""): self.start.outputs}
        found |= {(f"d{s}", ""): d for s, d in self.d_state.items()}
        found |= {(f"da_{g}", ""): d for g, d in self.da.items()} | {(f"dq_{g}", ""): d for g, d in self.dq.items()}
        found["dx", ""] = np.sum(list(self.inputs.values()), axis=0)
        found |= {(f"d{s}_0", ""): d for s, d in self.initial.items()}
        return found | {key: each.total() for key, each in self.sums.items()}


def start_of(problem: Problem) -> Start:
    """The forward pass of a problem without lengths, resets and projection, in time order."""
    numbers, dy, _ = as_numbers(problem)
    return forward_pass(numbers, dy, "no bias" not in problem.options)


def forward_pass(numbers: reference.Problem, dy: Array, bias: bool) -> Start:
    tape = forward(numbers)
    return Start(numbers, tape.values, tape.outputs, dy, bias)


def sweep(
    start: Start,
    rule: Adjoint | None = None,
    *,
    U: Mapping[str, Array] | None = None,
    W: Mapping[str, Array] | None = None,
    back: Mapping[str, Expression] | None = None,
    kept: Mapping[str, float] | None = None,
    first_kept: Mapping[str, float] | None = None,
) -> Trajectory:
    """Backpropagation through time, from the last step to the first.

    rule: a wrong Adjoint. U, W: wrong matrices of some gates, in the products of the backward pass. back: what these
    matrices U multiply in the place of dq. kept: the factor of the gradient that each state carries to the step before,
    by default 1; first_kept: at step 0, by default `kept`.
    """
    step, numbers = start.step, start.numbers
    rule = rule or adjoint(step)
    P: Parameters = reference.Parameters(
        **{g: getattr(numbers.parameters, g) for g in ("b", "c", "v", "R")},
        W={**numbers.parameters.W, **(W or {})},
        U={**numbers.parameters.U, **(U or {})},
    )
    kept = kept or {}
    first_kept = kept if first_kept is None else first_kept
    carried = {s: np.zeros_like(value) for s, value in numbers.states.items()}
    found: list[Moment] = []
    for value, dy in zip(reversed(start.values), start.dy[::-1]):
        d_new = dict(carried)
        d_new[step.state[0]] = d_new[step.state[0]] + dy
        moment, old = step_back(rule, step, P, value, d_new, back or {})
        found.append(moment | {"carried": carried})
        factor = kept if len(found) < len(start.values) else first_kept
        carried = {s: factor.get(s, 1.0) * d for s, d in old.items()}
    return trajectory_of(start, found, carried)


def step_back(
    rule: Adjoint,
    step: Step,
    P: Parameters,
    value: Values,
    d_new: Mapping[str, Array],
    back: Mapping[str, Expression],
) -> tuple[Moment, dict[str, Array]]:
    """The gradients of one step, and those with respect to the states before it; `back` as for `sweep`."""
    alive = np.ones((len(d_new[step.state[0]]), 1), bool)
    wrong = replace(rule, dq={**rule.dq, **back}) if back else rule
    inner = by_rule(wrong, step, P, value, d_new, alive, None)
    known = value | {e: d_new[s] for s, e in rule.d_new.items()}
    known |= {d: np.sum([inner.products[g] for g in stage.gates], 0) for d, stage in zip(rule.d_p, step.stages)}
    right = dict(zip(back, evaluate([rule.dq[g] for g in back], known, OPERATIONS)))
    totals = evaluate([rule.cotangent[e] for e in step.new.values()], known, OPERATIONS)
    moment = {
        "d_state": {s: np.broadcast_to(d, d_new[s].shape) for s, d in zip(step.state, totals)},
        "da": inner.da, "dq": inner.dq | right, "dv": inner.dv,
        "inputs": {g: inner.da[g] @ P.W[g].T for g in step.inputs},
    }  # fmt: skip
    return moment, inner.old


def trajectory_of(start: Start, found: Sequence[Moment], initial: dict[str, Array]) -> Trajectory:
    """The gradients of all steps, from those of each, the last step first."""
    in_time = {
        group: {name: np.stack([each[group][name] for each in reversed(found)]) for name in found[0][group]}
        for group in found[0]
    }
    return Trajectory(start, **in_time, initial=initial)


def operand_of(start: Start, gate: str) -> Array:
    """The operand of a gate's recurrent product at every step, (T, B, H)."""
    step = start.step
    return np.stack([value[step.stages[step.stage_of(gate)].operand] for value in start.values])


def without(values: Values, *computed: object) -> Values:
    """The leaves among the values, and the gates and states unless they are `computed` again."""
    return {e: value for e, value in values.items() if e.op == "leaf" and e not in computed}


def shifted(array: Array, steps: int) -> Array:
    """The array with row t moved to row t + steps, and zeros in the rows that become free."""
    moved = np.zeros_like(array)
    if steps > 0:
        moved[steps:] = array[:-steps]
    else:
        moved[:steps] = array[-steps:]
    return moved
