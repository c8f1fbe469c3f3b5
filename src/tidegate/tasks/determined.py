"""DeterminedTask: a classification task in which the input determines every target."""

from tidegate.tasks.task import Task


class DeterminedTask(Task):
    """A classification task scored by accuracy. The input determines every target, so the best accuracy is 1.

    It counts as solved if the accuracy is at least 0.99.
    """

    metric = "accuracy"

    @property
    def best(self) -> float:
        return 1.0

    @property
    def solved(self) -> float:
        return 0.99
