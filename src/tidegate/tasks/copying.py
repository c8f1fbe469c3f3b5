"""Copy and selective copy: symbols are repeated after a delay, or symbols at random steps are repeated in order."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tidegate.tasks.batch import Batch
from tidegate.tasks.determined import DeterminedTask
from tidegate.tasks.parameters import check_range
from tidegate.tasks.task import Task
from tidegate.text import IGNORE


@dataclass(frozen=True)
class Copy(Task):
    """The copy memory problem: repeat C = `count` symbols after a delay of T = `delay` steps.

    Input, T + 2 C steps: C symbols, independent and uniform on K = `symbols`; T - 1 blanks (class index K); a delimiter
    (K + 1); C blanks. Target: T + C blanks (class K of the output), then the C symbols. Every step has a target.

    Chance: a guess that depends on the step alone predicts the blanks, and gives each symbol probability 1/K:
    C ln K / (T + 2 C) nats per step, which is 10 ln 8 / (T + 20) at the standard sizes. Best: 0. Compare scores of
    different delays after dividing them by chance.
    Metric: nats per step (cross entropy). Solved: 1 % of chance.
    Source: M. Arjovsky, A. Shah, Y. Bengio, Unitary evolution recurrent neural networks (2016).
    """

    delay: int = 30
    symbols: int = 8
    count: int = 10

    name = "copy"
    source = "Arjovsky, Shah, Bengio (2016)"
    metric = "nats per step"
    higher_is_better = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "delay", 1)
        check_range(self, "symbols", 2)
        check_range(self, "count", 1)

    @property
    def input_size(self) -> int:
        return self.symbols + 2

    @property
    def output_size(self) -> int:
        return self.symbols + 1

    @property
    def chance(self) -> float:
        return self.count * math.log(self.symbols) / (self.delay + 2 * self.count)

    @property
    def best(self) -> float:
        return 0.0

    @property
    def solved(self) -> float:
        return 0.01 * self.chance

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        blank, delimiter = self.symbols, self.symbols + 1
        symbols = torch.randint(self.symbols, (self.count, size), generator=generator)
        x = torch.full((self.delay + 2 * self.count, size), blank)
        target = x.clone()
        x[: self.count] = target[-self.count :] = symbols
        x[self.count + self.delay - 1] = delimiter
        return Batch(x, target)

    def score(self, outputs: Tensor, batch: Batch) -> float:
        return float(self.loss(outputs.detach().double(), batch))


@dataclass(frozen=True)
class SelectiveCopy(DeterminedTask):
    """Selective copying: repeat, in order, the C = `count` symbols that are at random steps between blanks.

    Input, T + C steps with T = `length`: in the first T, C symbols, independent and uniform on K = `symbols`, at
    distinct random steps, and blanks (class index K) at the others; then C query symbols (K + 1). Target: at the
    queries the C symbols in their order.

    Chance: 1/K, any constant guess. Best: 1. Metric: accuracy.
    Source: A. Gu, T. Dao, Mamba, arXiv:2312.00752 (2023).
    """

    length: int = 40
    symbols: int = 8
    count: int = 5

    name = "selective-copy"
    source = "Gu, Dao, arXiv:2312.00752 (2023)"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "length", 1)
        check_range(self, "symbols", 2)
        check_range(self, "count", 1, self.length)

    @property
    def input_size(self) -> int:
        return self.symbols + 2

    @property
    def output_size(self) -> int:
        return self.symbols

    @property
    def chance(self) -> float:
        return 1 / self.symbols

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        blank, question = self.symbols, self.symbols + 1
        symbols = torch.randint(self.symbols, (self.count, size), generator=generator)
        places = torch.rand(self.length, size, generator=generator).argsort(0)[: self.count].sort(0).values
        x = torch.full((self.length + self.count, size), blank).scatter_(0, places, symbols)
        x[self.length :] = question
        target = torch.full_like(x, IGNORE)
        target[self.length :] = symbols
        return Batch(x, target)
