"""A mistake that a derivation or a program can have, and the gradients that it leads to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

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
