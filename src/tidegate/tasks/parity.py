"""Parity: whether a string of bits has an odd number of ones."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from tidegate.tasks.batch import Batch
from tidegate.tasks.determined import DeterminedTask
from tidegate.tasks.parameters import check_range
from tidegate.tasks.task import Task
from tidegate.text import IGNORE

END = 2


@dataclass(frozen=True)
class Parity(DeterminedTask):
    """Parity of the bits of a string, with one target at its last bit.

    The length n of each string is uniform on `shortest`..`longest`, its bits are independent, 0 or 1 with probability
    1/2. The input has `longest` steps: n bits (class indices 0 and 1), then the end symbol (2). At the last bit the
    target is the sum of the bits modulo 2.

    Chance: 1/2, any constant guess, and any guess that depends on only a part of the bits. Best: 1. Metric: accuracy.
    Further test: strings of `longest` + 1 to 2.5 `longest` bits.
    Source: G. Delétang et al., Neural networks and the Chomsky hierarchy, arXiv:2207.02098 (2023): lengths 1 to 40 in
    training, longer ones in the test.
    """

    shortest: int = 1
    longest: int = 40

    name = "parity"
    source = "Delétang et al., arXiv:2207.02098 (2023)"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "shortest", 1)
        check_range(self, "longest", self.shortest)

    @property
    def input_size(self) -> int:
        return 3

    @property
    def output_size(self) -> int:
        return 2

    @property
    def chance(self) -> float:
        return 1 / 2

    def tests(self) -> Mapping[str, Task]:
        longer = Parity(self.longest + 1, max(self.longest + 1, 5 * self.longest // 2))
        return {f"length {longer.shortest} to {longer.longest}": longer}

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        n = torch.randint(self.shortest, self.longest + 1, (size,), generator=generator)
        bits = torch.randint(2, (self.longest, size), generator=generator)
        t = torch.arange(self.longest)[:, None]
        x = torch.where(t < n, bits, END)
        target = torch.where(t == n - 1, bits.cumsum(0) % 2, IGNORE)
        return Batch(x, target)
