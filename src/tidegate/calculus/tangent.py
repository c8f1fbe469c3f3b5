"""The derivative of a step: how a small change of the states, inputs and vectors changes what the step computes."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from tidegate.calculus.derivative import gradients
from tidegate.calculus.expression import Expression, constant
from tidegate.calculus.step import Step

Slopes = Mapping[Expression, Expression]


@dataclass(frozen=True, eq=False)
class Tangent:
    """Partial derivatives of a step's operands, gates and new states with respect to its leaves, all element-wise.

    A change d of the leaves changes a value y by dy = sum over leaves of `slope` * d leaf, and a product by
    dq_g = U_g dp. Computed in the order of the stages, these sums are the product of the step's Jacobian with a vector;
    in the opposite order, with U_g transposed, the product of the transposed Jacobian. Slopes that are zero are left
    out.

    operands: one mapping for each stage. gates, new: one mapping for each gate and each state.
    """

    step: Step
    operands: tuple[Slopes, ...]
    gates: Mapping[str, Slopes]
    new: Mapping[str, Slopes]

    def expressions(self) -> list[Expression]:
        """Every slope of the operands and the new states, each once."""
        groups = [*self.operands, *self.new.values()]
        return list(dict.fromkeys(slope for group in groups for slope in group.values()))


@cache
def tangent(step: Step) -> Tangent:
    """The Tangent of a Step."""
    leaves = [*step.a.values(), *step.q.values(), *step.old.values(), *step.v.values()]
    named = {*step.gate.values(), *step.new.values(), *leaves}

    def slopes(e: Expression) -> Slopes:
        found = gradients([(e, constant(1))], leaves, named)
        return MappingProxyType({x: found[x] for x in leaves if found[x].value != 0})

    return Tangent(
        step=step,
        operands=tuple(slopes(stage.operand) for stage in step.stages),
        gates={g: slopes(e) for g, e in step.gate.items()},
        new={s: slopes(e) for s, e in step.new.items()},
    )
