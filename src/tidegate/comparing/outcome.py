"""Outcome: what a job found."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from tidegate.errors import CheckpointError


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """seed: of the job.   status: "solved", "unsolved", "diverged", or "failed" where it raised an exception.
    reason: why it diverged or failed.
    curve: (step, score) of every evaluation, from step 0 on.
    score: the final score on new sequences; that of chance where the run diverged, because a guess can replace such a
    network; None where it failed.
    solved_at: the first of the two evaluations in a row at which the task was solved.
    steps: how many were done.   seconds: of processor time in training, on one thread.
    weights: all parameters.   recurrent_weights: without the head.   state: numbers kept from step to step.
    tests: the scores of the task's further tests.   figures: further figures of the task. None where not finite.
    sample: what a language model writes.
    """

    seed: int
    status: str
    reason: str = ""
    curve: tuple[tuple[int, float], ...] = ()
    score: float | None = None
    solved_at: int | None = None
    steps: int = 0
    seconds: float = 0.0
    weights: int = 0
    recurrent_weights: int = 0
    state: int = 0
    tests: Mapping[str, float | None] = field(default_factory=dict)
    figures: Mapping[str, float | None] = field(default_factory=dict)
    sample: str = ""

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> "Outcome":
        """From the result of a job, or from its JSON. Raises CheckpointError for anything else."""
        known = {f.name for f in fields(cls)}
        if not isinstance(found, Mapping) or not {"seed", "status"} <= found.keys() <= known:
            raise CheckpointError(
                f"the result of a job must have the fields {', '.join(sorted(known))}, got {found!r:.60}"
            )
        curve = tuple((int(step), float(score)) for step, score in found.get("curve", ()))
        return cls(**{**found, "curve": curve})
