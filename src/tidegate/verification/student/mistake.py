"""A mistake that a derivation or a program can have, and the gradients that it leads to."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tidegate.calculus import Step
from tidegate.engines.reference.functions import Array
from tidegate.verification.student.trajectory import Key, Trajectory


@dataclass(frozen=True)
class Mistake:
    """kind: a few words, the same for all cells. text: what is wrong and what is expected, with gates and terms."""

    kind: str
    text: str


@dataclass(frozen=True)
class Gradients:
    """Gradients with a mistake planted. trajectory: their terms; None where only the totals are known."""

    blocks: Mapping[Key, Array]
    trajectory: Trajectory | None = None


@dataclass(frozen=True)
class Hypothesis:
    """A mistake that changes the whole computation, and the function that plants it."""

    mistake: Mistake
    compute: Callable[[], Gradients]


def hypothesis(kind: str, text: str, step: Step, compute: Callable[[], Trajectory]) -> Hypothesis:
    """A mistake in the backward pass; `compute` runs it with the mistake planted."""

    def gradients() -> Gradients:
        trajectory = compute()
        return Gradients(trajectory.blocks, trajectory)

    return Hypothesis(Mistake(kind, readable(step, text)), gradients)


def readable(step: Step, text: str) -> str:
    """The text with the products of each stage in the place of their sum's name, d_p0."""
    for k, stage in enumerate(step.stages):
        products = " + ".join(f"U_{g}^T dq_{g}" for g in stage.gates)
        text = re.sub(rf"\bd_p{k}\b", products if len(stage.gates) == 1 else f"({products})", text)
    return text
