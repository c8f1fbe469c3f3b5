"""DeterminedTask: a task of classes whose every answer follows from the input."""

from tidegate.tasks.task import Task


class DeterminedTask(Task):
    """A task of classes scored by accuracy, whose answers follow from the input: the best accuracy is 1.

    It counts as solved from an accuracy of 0.99 on.
    """

    metric = "accuracy"

    @property
    def best(self) -> float:
        return 1.0

    @property
    def solved(self) -> float:
        return 0.99
