"""The situations of docs/gates.md: a task, its events, and the steps at which a state is to be kept."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tidegate.tasks import Batch, Task, find_task


@dataclass(frozen=True)
class Situation:
    """replaced(task, batch), (T, B) bool: the events, steps at which the state is to be replaced. All other steps after
    the first event are to keep or continue it. steps: of training. before, after: how many steps around an event are
    shown, at which there is no other event. shown: the title of the figure."""

    task: Task
    steps: int
    before: int
    after: int
    replaced: Callable[[Task, Batch], Tensor]
    shown: str

    def events(self, batch: Batch) -> Tensor:
        return self.replaced(self.task, batch)

    def kept(self, batch: Batch) -> Tensor:
        """(T, B) bool: the steps after the first event that are no events."""
        events = self.events(batch)
        return (events.cumsum(0) > 0) & ~events

    def windows(self, batch: Batch) -> list[tuple[int, int]]:
        """The (t, b) of all events with no other event, and no end of the sequence, in their windows."""
        events = self.events(batch)
        T, found = len(events), []
        for t, b in events.nonzero().tolist():
            low, high = t - self.before, t + self.after + 1
            if low >= 0 and high <= T and int(events[low:high, b].sum()) == 1:
                found.append((t, b))
        return found


def first(task: Task, batch: Batch) -> Tensor:
    return torch.arange(len(batch.x))[:, None].expand(batch.x.shape[:2]) == 0


def marked(task: Task, batch: Batch) -> Tensor:
    return batch.x >= task.output_size


def relevant(task: Task, batch: Batch) -> Tensor:
    return batch.x < task.output_size


def added(task: Task, batch: Batch) -> Tensor:
    return batch.x[..., 1] > 0


def breaks(task: Task, batch: Batch) -> Tensor:
    """The first steps of all segments but the first, where there is nothing to discard."""
    return (batch.x[..., 1] > 0) & ~first(task, batch)


RECALL = Situation(find_task("recall", length=12), 800, 0, 11, first, "recall: the first token")
SKIP = Situation(find_task("skip"), 600, 3, 4, relevant, "skip: a relevant token among irrelevant ones")
BREAK = Situation(find_task("break"), 1200, 4, 6, breaks, "break: the start of a new segment")
ADDING = Situation(find_task("adding", length=30), 800, 3, 5, added, "adding: a number that is marked")
ONLY_AT = Situation(find_task("only-at"), 600, 5, 9, marked, "only-at: the marked token")

SITUATIONS = {"recall": RECALL, "adding": ADDING, "skip": SKIP, "break": BREAK, "only-at": ONLY_AT}
