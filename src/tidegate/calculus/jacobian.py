"""The Jacobian of one step, as a sum over the paths from the old states to the new ones.

With s the states before the step and s' those after, diag(.) a diagonal matrix and U_g the matrix of gate g (H, H):

    ds'/ds = diag(ds'/ds, all products held constant)                       the direct path
           + sum over gates g of diag(ds'/dq_g) U_g dp_g/ds                 the paths through the gates' products

where the operand p_g of the product is a state, or an expression with paths of its own. For a cell of several states
a gradient is multiplied by the Jacobian of all of them together, not by the block of h alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from tidegate.calculus.derivative import gradients
from tidegate.calculus.expression import Expression, constant, evaluate
from tidegate.calculus.step import Step
from tidegate.calculus.substitution import substitute


@dataclass(frozen=True)
class Path:
    """diag(`factor`), the direct path; or diag(`factor`) U_gate (sum of `inner`), a path through a gate's product."""

    factor: Expression
    gate: str | None = None
    inner: tuple["Path", ...] = ()

    def replaced(self, values: Mapping[Expression, Expression | float]) -> "Path | None":
        """The path with parts of its factors replaced; None if it becomes zero."""
        (factor,) = substitute([self.factor], values)
        inner = tuple(path for p in self.inner if (path := p.replaced(values)) is not None)
        dead = factor.value == 0 or (self.gate is not None and not inner)
        return None if dead else Path(factor, self.gate, inner)


Blocks = Mapping[tuple[str, str], tuple[Path, ...]]


@dataclass(frozen=True, eq=False)
class Jacobian:
    """`blocks[s', s]` are the paths from the old state s to the new state s'; none where s' does not depend on s."""

    step: Step
    blocks: Blocks

    def replaced(self, values: Mapping[Expression, Expression | float]) -> "Jacobian":
        blocks = {
            key: tuple(path for p in paths if (path := p.replaced(values)) is not None)
            for key, paths in self.blocks.items()
        }
        return Jacobian(self.step, blocks)

    def evaluate(
        self, given: Mapping[Expression, Any], U: Mapping[str, Any], table: Mapping[str, Callable], eye: Any
    ) -> dict[tuple[str, str], Any]:
        """Each block as an (H, H) array of one sequence, from the step's values (H,), the matrices and the identity."""

        def matrix(paths: tuple[Path, ...]) -> Any:
            total = 0 * eye
            for path in paths:
                (factor,) = evaluate([path.factor], given, table)
                right = eye if path.gate is None else U[path.gate] @ matrix(path.inner)
                total = total + (right * factor if isinstance(factor, float) else factor[:, None] * right)
            return total

        return {key: matrix(paths) for key, paths in self.blocks.items()}


@cache
def jacobian(step: Step) -> Jacobian:
    """The Jacobian of the new states with respect to the old ones."""
    operands = {g: stage.operand for stage in step.stages for g in stage.gates}
    # printed by name, so that factors are written in terms of gates and states
    named = {*step.gate.values(), *step.new.values(), *step.old.values(), *step.q.values()}

    def paths(e: Expression, s: str) -> tuple[Path, ...]:
        slope = gradients([(e, constant(1))], [step.old[s], *step.q.values()], named)
        direct = slope[step.old[s]]
        found = [] if direct.value == 0 else [Path(direct)]
        for g, q in step.q.items():
            if slope[q].value != 0:
                inner = paths(operands[g], s)
                found += [Path(slope[q], g, inner)] if inner else []
        return tuple(found)

    return Jacobian(step, {(new, old): paths(e, old) for new, e in step.new.items() for old in step.state})
