"""Task: the interface of a synthetic task: its input, its targets, its metric, and the limits of its score."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from tidegate.errors import ShapeError
from tidegate.tasks.batch import Batch
from tidegate.tasks.parameters import check_types
from tidegate.tasks.scores import accuracy, cross_entropy, squared_error


class Task(ABC):
    """Sequences with targets, generated without limit, and the limits of the score.

    A task of your own is a subclass; its parameters are the fields of a frozen dataclass. What is a property below can
    be a property or, if it does not depend on a parameter, a class attribute without annotation:

        @dataclass(frozen=True)
        class LastInput(tidegate.tasks.Task):
            symbols: int = 4

            name, source, metric = "last-input", "own", "accuracy"
            solved = best = 1.0

            @property
            def input_size(self):
                return self.symbols

            output_size = input_size

            @property
            def chance(self):
                return 1 / self.symbols

            def batch(self, size, generator):
                x = torch.randint(self.symbols, (20, size), generator=generator)
                return tidegate.tasks.Batch(x, x)

    By default a task with classes as targets is trained on the cross entropy and scored by the accuracy, a task with
    features as targets is trained on and scored by the mean squared error. Both are means over the steps with a
    target.
    """

    name: ClassVar[str]
    source: ClassVar[str]
    metric: ClassVar[str]
    higher_is_better: ClassVar[bool] = True

    indexed: ClassVar[bool] = True
    """Whether `x` holds class indices (T, B), 0 <= x < input_size, or features (T, B, input_size)."""

    of_classes: ClassVar[bool] = True
    """Whether `target` holds classes (T, B), 0 <= target < output_size, or features (T, B, output_size)."""

    def __post_init__(self) -> None:
        check_types(self)

    @property
    @abstractmethod
    def input_size(self) -> int:
        """The number of symbols or of features of the input."""

    @property
    @abstractmethod
    def output_size(self) -> int:
        """The number of outputs at every step: the logits of the classes, or the features."""

    @property
    @abstractmethod
    def chance(self) -> float:
        """The expected score of the best constant guess, which ignores the input."""

    @property
    def best(self) -> float | None:
        """The best possible expected score; None where it is unknown."""
        return None

    @property
    @abstractmethod
    def solved(self) -> float:
        """The score at which the task counts as solved."""

    @property
    def data(self) -> str:
        """The SHA-256 (hex) of a finite data set from which sequences are drawn; empty where they are generated."""
        return ""

    @abstractmethod
    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """`size` new sequences, determined by the state of `generator` (on the CPU) alone."""

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The training loss of `outputs` (T, B, output_size), a scalar: cross entropy in nats, or squared error."""
        self.check_outputs(outputs, batch)
        return cross_entropy(outputs, batch) if self.of_classes else squared_error(outputs, batch)

    def score(self, outputs: Tensor, batch: Batch) -> float:
        """The metric of `outputs` (T, B, output_size) on a batch."""
        self.check_outputs(outputs, batch)
        return accuracy(outputs, batch) if self.of_classes else float(squared_error(outputs.detach(), batch))

    def figures(self, outputs: Tensor, batch: Batch) -> Mapping[str, float]:
        """Further figures of `outputs` on a batch by name, none by default."""
        return {}

    def heldout(self) -> "Task":
        """The task on whose batches a trained network is scored: this task if its sequences are generated without
        limit; for a finite data set, the task that draws from the held-out part."""
        return self

    def tests(self) -> Mapping[str, "Task"]:
        """Further tests of a network trained on this task, by name, such as longer sequences; none by default. Their
        input_size and output_size are those of this task."""
        return {}

    def check_outputs(self, outputs: Tensor, batch: Batch) -> None:
        """Raise ShapeError unless `outputs` has the shape (T, B, output_size) for the T and B of the batch."""
        expected = (*batch.x.shape[:2], self.output_size)
        if tuple(outputs.shape) != expected:
            raise ShapeError(
                f"`outputs` must have shape (T, B, output_size) = {expected}, got {tuple(outputs.shape)}. "
                "A linear layer after the recurrent one maps its H features to output_size."
            )
