"""Temporal order: the order of two relevant symbols."""

from dataclasses import dataclass

import torch

from tidegate.tasks.batch import Batch
from tidegate.tasks.determined import DeterminedTask
from tidegate.tasks.parameters import check_range
from tidegate.text import IGNORE

DISTRACTORS = 4


@dataclass(frozen=True)
class TemporalOrder(DeterminedTask):
    """Temporal order: output the two relevant symbols, each X or Y, in their order.

    Of T = `length` inputs two are relevant: one at a step drawn uniformly from T//10 .. 2T//10 - 1 (counted from 0),
    and one at a step from 4T//10 .. 5T//10 - 1. Each is X or Y (class indices 0 and 1) with probability 1/2. The other
    inputs are drawn uniformly from four distractors (2..5). At the last step the target is one of four classes, XX, XY,
    YX, YY.

    Chance: 1/4, any constant guess. Best: 1. Metric: accuracy.
    Source: R. Pascanu, T. Mikolov, Y. Bengio, On the difficulty of training recurrent neural networks,
    arXiv:1211.5063 (2013), after S. Hochreiter, J. Schmidhuber, Long short-term memory (1997).
    """

    length: int = 50

    name = "temporal-order"
    source = "Pascanu, Mikolov, Bengio, arXiv:1211.5063 (2013), after Hochreiter, Schmidhuber (1997)"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "length", 10)

    @property
    def input_size(self) -> int:
        return 2 + DISTRACTORS

    @property
    def output_size(self) -> int:
        return 4

    @property
    def chance(self) -> float:
        return 1 / 4

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        T = self.length
        x = torch.randint(2, 2 + DISTRACTORS, (T, size), generator=generator)
        first = torch.randint(T // 10, 2 * T // 10, (1, size), generator=generator)
        second = torch.randint(4 * T // 10, 5 * T // 10, (1, size), generator=generator)
        relevant = torch.randint(2, (2, size), generator=generator)
        x.scatter_(0, torch.cat([first, second]), relevant)
        target = torch.full_like(x, IGNORE)
        target[-1] = 2 * relevant[0] + relevant[1]
        return Batch(x, target)
