"""Recall of one input: the first, or the one at a known step."""

from dataclasses import dataclass

import torch

from tidegate.tasks.batch import Batch
from tidegate.tasks.determined import DeterminedTask
from tidegate.tasks.parameters import check_range
from tidegate.text import IGNORE


@dataclass(frozen=True)
class Recall(DeterminedTask):
    """First-token recall: output the first of T = `length` symbols at the last step.

    x_t, t = 1..T, are independent and uniform on K = `symbols` symbols; at t = T the target is x_1. The symbols
    after the first are distractors. The lag is T - 1 steps.

    Chance: 1/K, any constant guess. Best: 1. Metric: accuracy.
    Source: after S. Hochreiter, J. Schmidhuber, Long short-term memory (1997), with distractors drawn from the same
    symbols.
    """

    length: int = 20
    symbols: int = 8

    name = "recall"
    source = "after Hochreiter, Schmidhuber (1997)"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "length", 2)
        check_range(self, "symbols", 2)

    @property
    def input_size(self) -> int:
        return self.symbols

    @property
    def output_size(self) -> int:
        return self.symbols

    @property
    def chance(self) -> float:
        return 1 / self.symbols

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        x = torch.randint(self.symbols, (self.length, size), generator=generator)
        target = torch.full_like(x, IGNORE)
        target[-1] = x[0]
        return Batch(x, target)


@dataclass(frozen=True)
class OnlyAt(DeterminedTask):
    """Output, at every step t > t', the input at the marked step t' = `at`.

    Each of the T = `length` inputs is a symbol, independent and uniform on K = `symbols`, t = 0..T-1; the one at t' is
    marked: its class index is K + symbol instead of symbol. At every t > t' the target is the symbol at t'. Gates
    that solve it are known: at t' the update gate replaces the state by the candidate, and the reset gate is closed, so
    that the candidate does not depend on the previous state; at every t > t' the update gate keeps the state.

    Chance: 1/K, any constant guess. Best: 1. Metric: accuracy.
    Source: A. Zhang, Z. Lipton, M. Li, A. Smola, Dive into Deep Learning (2021), exercise 1 on gated recurrent
    units.
    """

    length: int = 20
    symbols: int = 8
    at: int = 5

    name = "only-at"
    source = "Zhang, Lipton, Li, Smola (2021), exercise 1 on gated recurrent units"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "length", 2)
        check_range(self, "symbols", 2)
        check_range(self, "at", 0, self.length - 2)

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
        target = torch.full_like(x, IGNORE)
        target[self.at + 1 :] = x[self.at]
        x[self.at] += self.symbols
        return Batch(x, target)
