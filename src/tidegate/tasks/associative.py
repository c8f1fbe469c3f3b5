"""Associative recall: the value that was paired with a key."""

from dataclasses import dataclass

import torch

from tidegate.tasks.batch import Batch
from tidegate.tasks.determined import DeterminedTask
from tidegate.tasks.parameters import check_range
from tidegate.text import IGNORE


@dataclass(frozen=True)
class AssociativeRecall(DeterminedTask):
    """Pairs of a key and a value, then one of the keys: output its value.

    Input, 2 n + 1 steps with n = `pairs`: key, value, key, value, ..., then one of the n keys again, each with
    probability 1/n. The keys of a sequence are n different ones of `keys` (class indices 0..keys-1), in random order;
    the values are independent and uniform on V = `values` (class indices keys..keys+V-1). At the last step the target
    is the value, 0..V-1.

    Chance: 1/V, any constant guess. Best: 1. Metric: accuracy.
    Source: J. Ba et al., Using fast weights to attend to the recent past, arXiv:1610.06258 (2016), section 4.1.
    """

    pairs: int = 4
    keys: int = 8
    values: int = 8

    name = "associative-recall"
    source = "Ba et al., arXiv:1610.06258 (2016), section 4.1"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "pairs", 1)
        check_range(self, "keys", self.pairs)
        check_range(self, "values", 2)

    @property
    def input_size(self) -> int:
        return self.keys + self.values

    @property
    def output_size(self) -> int:
        return self.values

    @property
    def chance(self) -> float:
        return 1 / self.values

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        keys = torch.rand(self.keys, size, generator=generator).argsort(0)[: self.pairs]
        values = torch.randint(self.values, (self.pairs, size), generator=generator)
        question = torch.randint(self.pairs, (1, size), generator=generator)
        shown = torch.stack([keys, values + self.keys], 1).flatten(0, 1)
        x = torch.cat([shown, keys.gather(0, question)])
        target = torch.full_like(x, IGNORE)
        target[-1] = values.gather(0, question)[0]
        return Batch(x, target)
