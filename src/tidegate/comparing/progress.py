"""Progress of a comparison: the calls that it makes while jobs end."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from tidegate.comparing.arm import Arm
from tidegate.comparing.outcome import Outcome


class Progress:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def begin(self, arms: Sequence[Arm], tried: int, reported: int, workers: int) -> None:
        """Before the first job: each arm has `tried` jobs that choose its learning rate, and `reported` others."""

    def ended(self, arm: Arm, outcome: Outcome, *, tuning: bool, stored: bool) -> None:
        """A job of an arm has ended; `stored` where its result was there from an earlier run."""

    def note(self, text: str) -> None:
        """Show a sentence that the user should read."""
