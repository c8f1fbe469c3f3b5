"""Flip-flop and delayed match: the last pulse is held, or the first symbol is compared with the last."""

from dataclasses import dataclass

import torch

from tidegate.tasks.batch import Batch
from tidegate.tasks.determined import DeterminedTask
from tidegate.tasks.parameters import check_range
from tidegate.tasks.task import Task
from tidegate.text import IGNORE


@dataclass(frozen=True)
class FlipFlop(Task):
    """A memory of n = `bits` bits: output the sign of the last pulse on each channel, at every step.

    Each of the n features of the input, at each of T = `length` steps, is a pulse of +1 or -1 with probability
    `pulse` / 2 each, and 0 otherwise; at the first step every channel has a pulse. The target on each channel is its
    last pulse.

    Chance: the constant 0 has the mean square of the targets, 1. Best: 0. Metric: mean squared error.
    Solved: 1 % of chance.
    Source: D. Sussillo, O. Barak, Opening the black box (2013), with 3 bits.
    """

    length: int = 40
    bits: int = 3
    pulse: float = 0.2

    name = "flip-flop"
    source = "Sussillo, Barak (2013)"
    metric = "mse"
    higher_is_better = False
    indexed = False
    of_classes = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "length", 1)
        check_range(self, "bits", 1)
        check_range(self, "pulse", 0, 1)

    @property
    def input_size(self) -> int:
        return self.bits

    @property
    def output_size(self) -> int:
        return self.bits

    @property
    def chance(self) -> float:
        return 1.0

    @property
    def best(self) -> float:
        return 0.0

    @property
    def solved(self) -> float:
        return 0.01 * self.chance

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        shape = (self.length, size, self.bits)
        signs = 2 * torch.randint(2, shape, generator=generator).float() - 1
        pulses = torch.rand(shape, generator=generator) < self.pulse
        pulses[0] = True
        held = [signs[0]]
        for t in range(1, self.length):
            held.append(torch.where(pulses[t], signs[t], held[-1]))
        return Batch(torch.where(pulses, signs, 0.0), torch.stack(held))


@dataclass(frozen=True)
class DelayedMatch(DeterminedTask):
    """Delayed match to sample: is the last symbol the same as the first?

    Input, T + 2 steps with T = `delay`: a sample, uniform on K = `symbols`; T blanks (class index K); a test symbol,
    which is the sample with probability 1/2 and otherwise uniform on the K - 1 others. At the last step the target is 1
    if they match, else 0.

    Chance: 1/2, for any guess from only one of the two symbols. Best: 1. Metric: accuracy.
    Source: after the delayed-response experiments of J. Fuster, J. Jervey (1981).
    """

    delay: int = 20
    symbols: int = 8

    name = "delayed-match"
    source = "after Fuster, Jervey (1981)"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "delay", 0)
        check_range(self, "symbols", 2)

    @property
    def input_size(self) -> int:
        return self.symbols + 1

    @property
    def output_size(self) -> int:
        return 2

    @property
    def chance(self) -> float:
        return 1 / 2

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        sample = torch.randint(self.symbols, (size,), generator=generator)
        matches = torch.randint(2, (size,), generator=generator)
        other = (sample + torch.randint(1, self.symbols, (size,), generator=generator)) % self.symbols
        x = torch.full((self.delay + 2, size), self.symbols)
        x[0], x[-1] = sample, torch.where(matches == 1, sample, other)
        target = torch.full_like(x, IGNORE)
        target[-1] = matches
        return Batch(x, target)
