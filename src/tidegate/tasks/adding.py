"""Adding: the sum of two marked inputs."""

from dataclasses import dataclass

import torch

from tidegate.tasks.batch import Batch
from tidegate.tasks.parameters import check_range
from tidegate.tasks.task import Task


@dataclass(frozen=True)
class Adding(Task):
    """The adding problem: output the sum of the two marked values at the last of T = `length` steps.

    Each input has two features: a value, independent and uniform on [0, 1), and a marker, which is 1 at two steps, one
    drawn uniformly from the first T // 2 steps and one from the others, and 0 elsewhere. At the last step the target is
    the sum of the two values.

    Chance: the constant 1 has the variance of a sum of two uniform numbers, 2/12 = 1/6 = 0.1667. Best: 0.
    Metric: mean squared error. Solved: 1 % of chance.
    Source: M. Arjovsky, A. Shah, Y. Bengio, Unitary evolution recurrent neural networks (2016); first in S. Hochreiter,
    J. Schmidhuber, Long short-term memory (1997), with another range of values and another error.
    """

    length: int = 50

    name = "adding"
    source = "Arjovsky, Shah, Bengio (2016), after Hochreiter, Schmidhuber (1997)"
    metric = "mse"
    higher_is_better = False
    indexed = False
    of_classes = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "length", 2)

    @property
    def input_size(self) -> int:
        return 2

    @property
    def output_size(self) -> int:
        return 1

    @property
    def chance(self) -> float:
        return 1 / 6

    @property
    def best(self) -> float:
        return 0.0

    @property
    def solved(self) -> float:
        return 0.01 * self.chance

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        half = self.length // 2
        value = torch.rand(self.length, size, generator=generator)
        first = torch.randint(half, (1, size), generator=generator)
        second = torch.randint(half, self.length, (1, size), generator=generator)
        marked = torch.zeros_like(value).scatter_(0, torch.cat([first, second]), 1.0)
        target = torch.full((self.length, size, 1), torch.nan)
        target[-1, :, 0] = (value * marked).sum(0)
        return Batch(torch.stack([value, marked], -1), target)
