"""Skip: recall across irrelevant inputs."""

from dataclasses import dataclass

import torch

from tidegate.tasks.batch import Batch
from tidegate.tasks.determined import DeterminedTask
from tidegate.tasks.parameters import check_range
from tidegate.text import IGNORE


@dataclass(frozen=True)
class Skip(DeterminedTask):
    """At every relevant input, output the previous relevant input; the irrelevant ones between them must be ignored.

    Of T = `length` inputs the first and the last are relevant, each other one with probability 1 - `irrelevant`. A
    relevant input is one of K = `symbols` symbols, 0..K-1; an irrelevant input is one of K others, K..2K-1. All are
    independent and uniform. At each relevant input but the first the target is the previous relevant symbol, which is
    about 1 / (1 - irrelevant) steps back on average (exactly, except for the ends of the sequence).

    Chance: 1/K, any constant guess. Best: 1. Metric: accuracy.
    Source: the use of the update gate in A. Zhang, Z. Lipton, M. Li, A. Smola, Dive into Deep Learning (2021), on
    gated recurrent units (tokens without information are skipped); this task is a new formulation of it.
    """

    length: int = 30
    symbols: int = 8
    irrelevant: float = 0.8

    name = "skip"
    source = "after Zhang, Lipton, Li, Smola (2021)"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "length", 2)
        check_range(self, "symbols", 2)
        check_range(self, "irrelevant", 0, 1)

    @property
    def input_size(self) -> int:
        return 2 * self.symbols

    @property
    def output_size(self) -> int:
        return self.symbols

    @property
    def chance(self) -> float:
        return 1 / self.symbols

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        x = torch.randint(self.symbols, (self.length, size), generator=generator)
        relevant = torch.rand(self.length, size, generator=generator) >= self.irrelevant
        relevant[0] = relevant[-1] = True
        target = torch.full_like(x, IGNORE)
        last = x[0]
        for t in range(1, self.length):
            target[t] = torch.where(relevant[t], last, IGNORE)
            last = torch.where(relevant[t], x[t], last)
        return Batch(torch.where(relevant, x, x + self.symbols), target)
