"""The progress of a comparison: one live table in a terminal, plain lines elsewhere."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from tidegate.comparing.arm import Arm
from tidegate.comparing.outcome import Outcome
from tidegate.comparing.progress import Progress
from tidegate.comparing.sentences import shown
from tidegate.train.live import LiveOutput
from tidegate.train.status import clock

PLAIN = 10.0  # seconds between two lines where the output is not a terminal


@dataclass
class Row:
    """The jobs of an arm that have ended."""

    tried: int = 0
    outcomes: list[Outcome] = field(default_factory=list)


class LiveTable(LiveOutput, Progress):
    """A row for each arm, filled while its jobs end, and the time that is left."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.arms: Sequence[Arm] = ()
        self.rows: dict[str, Row] = {}
        self.tried = self.reported = 0
        self.said = time.monotonic()
        self.first: float | None = None  # when the first job ended that ran now
        self.done = self.total = self.since = 0.0
        self.workers = self.ran = 0

    def begin(self, arms: Sequence[Arm], tried: int, reported: int, workers: int) -> None:
        self.arms, self.tried, self.reported = arms, tried, reported
        self.rows = {arm.label: Row() for arm in arms}
        self.total = sum(cost(arm) * (tried + reported) for arm in arms)
        self.said, self.workers = time.monotonic(), workers
        jobs = len(arms) * (tried + reported)
        self.note(f"{jobs} jobs, {workers} at once. Ctrl-C stops; the same command continues.")
        self.show()

    def ended(self, arm: Arm, outcome: Outcome, *, tuning: bool, stored: bool) -> None:
        row = self.rows[arm.label]
        if tuning:
            row.tried += 1
        else:
            row.outcomes.append(outcome)
        self.done += cost(arm)
        if not stored:
            self.ran += 1
            self.since += cost(arm) if self.first is not None else 0.0
            self.first = time.monotonic() if self.first is None else self.first
        self.show()
        if self.live is None:
            now = time.monotonic()
            if len(row.outcomes) == self.reported or now - self.said >= PLAIN:
                self.said = now
                self.note(f"{arm.label}: {', '.join(filter(None, self.cells(arm)[1:]))}; {self.left()}")

    def note(self, text: str) -> None:
        self.say(text)

    def left(self) -> str:
        """How much is done, and the time left at the rate since the first job ended, once every worker has ended one.

        The time until then is left out: processes start and import torch in it.
        """
        share = f"{self.done / self.total:.0%} done" if self.total else "done"
        if self.first is None or self.ran <= self.workers or self.done >= self.total:
            return share
        seconds = (time.monotonic() - self.first) / self.since * (self.total - self.done)
        return f"{share}, about {clock(seconds)} left"

    def cells(self, arm: Arm) -> list[str]:
        """The columns of a row."""
        row = self.rows[arm.label]
        jobs = f"{len(row.outcomes)} of {self.reported} seeds"
        if row.tried < self.tried:
            jobs = f"learning rate {row.tried} of {self.tried}"
        scores = [run.score for run in row.outcomes if run.score is not None]
        at = [run.solved_at for run in row.outcomes if run.solved_at is not None]
        trouble = [run.status for run in row.outcomes if run.status in ("diverged", "failed")]
        return [
            arm.label,
            jobs,
            f"{arm.task.metric} {shown(median(scores))}" if scores else "",
            f"solved {len(at)}" if row.outcomes else "",
            f"{median(at):,.0f} steps" if at else "",
            ", ".join(f"{trouble.count(status)} {status}" for status in sorted(set(trouble))),
        ]

    def show(self) -> None:
        if self.live is None:
            return
        table = Table(box=None, pad_edge=False, show_header=False)
        for arm in self.arms:
            table.add_row(*(Text(cell) for cell in self.cells(arm)))
        self.live.update(Group(table, Text(self.left(), "bright_black")))


def cost(arm: Arm) -> float:
    """A number that grows with the time of a job of the arm."""
    return float(arm.settings.steps * arm.settings.batch * arm.weights)
