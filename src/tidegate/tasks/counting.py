"""Counting: the strings a^n b^n and a^n b^n c^n, symbol by symbol."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from tidegate.tasks.batch import Batch
from tidegate.tasks.parameters import check_range
from tidegate.tasks.scores import share_of_sequences
from tidegate.tasks.task import Task
from tidegate.text import IGNORE


@dataclass(frozen=True)
class Counting(Task):
    """A string of `letters` blocks of n equal letters, n uniform on `least`..`most`: which symbol comes next?

    Input: the string, as class indices 0, 1, ..., then the end symbol up to letters * most steps. Every step from the
    first b on has a target, because there the string so far determines the next symbol: the same letter, the next
    letter, or, after the last letter, the end.

    A string is right if the output is right at every step with a target. Best: 1. Metric: share of strings right.
    """

    least: int = 1
    most: int = 20

    letters: ClassVar[int]
    metric = "strings right"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "least", 1)
        check_range(self, "most", self.least)

    @property
    def input_size(self) -> int:
        return self.letters + 1

    @property
    def output_size(self) -> int:
        return self.letters + 1

    @property
    @abstractmethod
    def chance(self) -> float: ...

    @property
    def best(self) -> float:
        return 1.0

    @property
    def solved(self) -> float:
        return 0.99

    def tests(self) -> Mapping[str, Task]:
        """Strings of greater n: most + 1 to 2 most."""
        longer = replace(self, least=self.most + 1, most=2 * self.most)
        return {f"n {longer.least} to {longer.most}": longer}

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        n = torch.randint(self.least, self.most + 1, (size,), generator=generator)
        t = torch.arange(self.letters * self.most + 1)[:, None]
        string = torch.minimum(t // n, torch.tensor(self.letters))
        x, following = string[:-1], string[1:]
        return Batch(x, torch.where((x >= 1) & (x < self.letters), following, IGNORE))

    def score(self, outputs: Tensor, batch: Batch) -> float:
        self.check_outputs(outputs, batch)
        return share_of_sequences(outputs, batch)


@dataclass(frozen=True)
class AnBn(Counting):
    """a^n b^n: count the a, then predict the end after as many b. See Counting for the definition.

    Chance: the constant guess "end" is right only for n = 1: 1 / (most - least + 1) if least = 1, else 0. (Every string
    begins at step 0, so a guess that depends on the step can be right for a few more.) Best: 1. Metric: share of
    strings right.
    Source: F. Gers, J. Schmidhuber, LSTM recurrent networks learn simple context-free and context-sensitive languages
    (2001); G. Weiss, Y. Goldberg, E. Yahav, arXiv:1805.04908 (2018).
    """

    name = "anbn"
    source = "Gers, Schmidhuber (2001); Weiss, Goldberg, Yahav, arXiv:1805.04908 (2018)"
    letters = 2

    @property
    def chance(self) -> float:
        return 1 / self.most if self.least == 1 else 0.0


@dataclass(frozen=True)
class AnBnCn(Counting):
    """a^n b^n c^n: count the a, then predict the first c after as many b, and the end after as many c.

    Chance: 0, because the targets of a string are never all the same. Best: 1. Metric: share of strings right.
    Source: F. Gers, J. Schmidhuber, LSTM recurrent networks learn simple context-free and context-sensitive languages
    (2001); G. Weiss, Y. Goldberg, E. Yahav, arXiv:1805.04908 (2018).
    """

    name = "anbncn"
    source = "Gers, Schmidhuber (2001); Weiss, Goldberg, Yahav, arXiv:1805.04908 (2018)"
    letters = 3

    @property
    def chance(self) -> float:
        return 0.0
