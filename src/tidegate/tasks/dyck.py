"""Dyck: brackets of several types, nested to a bounded depth."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from tidegate.tasks.batch import Batch
from tidegate.tasks.determined import DeterminedTask
from tidegate.tasks.parameters import check_range
from tidegate.tasks.task import Task
from tidegate.text import IGNORE


@dataclass(frozen=True)
class Dyck(DeterminedTask):
    """Dyck-(k, m): after a closing bracket, output the type of the innermost bracket that is still open.

    A sequence has T = `length` brackets of k = `types` types, nested to at most m = `depth`: it is the beginning of a
    string of the bounded Dyck language. At depth 0 a bracket opens, at depth m one closes, otherwise each has
    probability 1/2. The type of an opening bracket is uniform and independent of all else; a closing bracket has the
    type of the one that it closes. Class indices: 0..k-1 open, k..2k-1 close. Where a bracket closes and another is
    still open, the target is the type of the innermost open one, 0..k-1, which is the type of the next closing bracket
    unless another bracket is opened before it.

    Chance: 1/k, also for a guess from the last input, which is independent of the target. Best: 1. Metric: accuracy.
    Further test: sequences of 2 T brackets.
    Source: J. Hewitt et al., RNNs can generate bounded hierarchical languages with optimal memory, arXiv:2010.07515
    (2020), where the type is predicted before every closing bracket, also directly after its opening bracket.
    """

    length: int = 40
    types: int = 2
    depth: int = 4

    name = "dyck"
    source = "Hewitt et al., arXiv:2010.07515 (2020)"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "length", 16)  # many shorter sequences would have no target
        check_range(self, "types", 2)
        check_range(self, "depth", 2)

    @property
    def input_size(self) -> int:
        return 2 * self.types

    @property
    def output_size(self) -> int:
        return self.types

    @property
    def chance(self) -> float:
        return 1 / self.types

    def tests(self) -> Mapping[str, Task]:
        return {f"length {2 * self.length}": replace(self, length=2 * self.length)}

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        types = torch.randint(self.types, (self.length, size), generator=generator)
        coin = torch.randint(2, (self.length, size), generator=generator).bool()
        stack = torch.zeros(self.depth, size, dtype=torch.int64)  # the types of the open brackets, outermost first
        depth = torch.zeros(1, size, dtype=torch.int64)
        x, target = torch.empty_like(types), torch.full_like(types, IGNORE)
        for t in range(self.length):
            opens = (depth == 0) | (depth < self.depth) & coin[t]
            top = stack.gather(0, (depth - 1).clamp(min=0))
            x[t] = torch.where(opens, types[t], self.types + top)
            stack.scatter_(0, depth.clamp(max=self.depth - 1), torch.where(opens, types[t], top))
            depth = depth + torch.where(opens, 1, -1)
            inner = stack.gather(0, (depth - 1).clamp(min=0))
            target[t] = torch.where(~opens & (depth > 0), inner, IGNORE)
        return Batch(x, target)
