"""Minibatches of a token sequence, time first: sequential partition, random sampling, held-out windows.

Batch k of epoch e is a pure function of (tokens, seed, e, k): a run that stops and resumes sees the same
batches.

Source: A. Zhang, Z. Lipton, M. Li, A. Smola, Dive into Deep Learning (2021), section 8.3.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch

from tidegate.errors import ArgumentError, DataError

Batch = tuple[torch.Tensor, torch.Tensor]
IGNORE = -100  # the target that torch's cross entropy leaves out


@dataclass(frozen=True, eq=False)
class Batches(ABC):
    """Minibatches of `batch` rows (B) by `steps` (T) from `tokens` (N,), integers on any device.

    The first tokens are left out, a random number of them in each epoch, so that windows begin elsewhere each
    time; `seed` (0 or more) settles the randomness. Raises DataError where there is not one batch.
    """

    tokens: torch.Tensor
    batch: int
    steps: int
    seed: int = 0

    carries_state: ClassVar[bool]
    """Whether row b of batch k + 1 goes on where row b of batch k ended."""

    def __post_init__(self) -> None:
        for name, value, least in (
            ("batch", self.batch, 1),
            ("steps", self.steps, 1),
            ("seed", self.seed, 0),
        ):
            if value < least:
                raise ArgumentError(f"`{name}` must be at least {least}, got {value}.")
        have, need = len(self.tokens), self.needed(self.batch, self.steps)
        if have < need:
            fits = next((size for size in range(self.batch, 0, -1) if self.needed(size, self.steps) <= have), None)
            remedy = f"`batch` {fits}{' or less' * (fits > 1)}" if fits else f"fewer `steps` than {self.steps}"
            raise DataError(
                f"the training part has {have} tokens, but one batch of {self.batch} x {self.steps} steps "
                f"after a random offset needs {need}. Use a longer text, or {remedy}."
            )

    @staticmethod
    @abstractmethod
    def needed(batch: int, steps: int) -> int:
        """The fewest tokens that make one batch whatever the offset."""

    @abstractmethod
    def count(self, epoch: int) -> int:
        """How many batches the epoch has; it depends on the offset, by one at most."""

    @abstractmethod
    def at(self, epoch: int, k: int) -> Batch:
        """Inputs x (T, B) and targets y (T, B) of batch `k`, each target the token after its input."""

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch in order, from number `start`."""
        return (self.at(epoch, k) for k in range(start, self.count(epoch)))


class Sequential(Batches):
    """Sequential partition: B long rows of the text; successive batches are successive windows of them.

    The state is carried from batch to batch and its gradient cut. The offset is 0 to T, both included.
    """

    carries_state = True

    @staticmethod
    def needed(batch: int, steps: int) -> int:
        return steps + batch * steps + 1

    def count(self, epoch: int) -> int:
        return self._row(self._offset(epoch)) // self.steps

    def at(self, epoch: int, k: int) -> Batch:
        offset = self._offset(epoch)
        row = self._row(offset)
        _check_number(k, row // self.steps)
        begin, length = offset + k * self.steps, self.steps + 1
        windows = self.tokens[begin : begin + (self.batch - 1) * row + length].unfold(0, length, row).t().contiguous()
        return windows[:-1], windows[1:]

    def _offset(self, epoch: int) -> int:
        return _offset(self.steps, self.seed, epoch)

    def _row(self, offset: int) -> int:
        return (len(self.tokens) - offset - 1) // self.batch


class RandomSampling(Batches):
    """Random sampling: windows of T cut from the text, in a new random order in each epoch, B at a time.

    Neighbours in a batch or in successive batches are strangers: the state begins at zero in each. The offset
    is 0 to T - 1.
    """

    carries_state = False

    @staticmethod
    def needed(batch: int, steps: int) -> int:
        return steps - 1 + batch * steps + 1

    def count(self, epoch: int) -> int:
        return len(self._begins(epoch)) // self.batch

    def at(self, epoch: int, k: int) -> Batch:
        _check_number(k, self.count(epoch))
        begins = torch.from_numpy(self._begins(epoch)[k * self.batch : (k + 1) * self.batch])
        places = (begins + torch.arange(self.steps)[:, None]).to(self.tokens.device)
        return self.tokens[places], self.tokens[places + 1]

    def _begins(self, epoch: int) -> np.ndarray:
        return _shuffled_windows(len(self.tokens), self.steps, self.seed, epoch)


@lru_cache(maxsize=2)
def _offset(steps: int, seed: int, epoch: int) -> int:
    """The tokens that an epoch of long rows leaves out at the beginning."""
    return int(np.random.default_rng([seed, epoch]).integers(steps, endpoint=True))


@lru_cache(maxsize=2)
def _shuffled_windows(count: int, steps: int, seed: int, epoch: int) -> np.ndarray:
    """Where the epoch's windows begin, in the order in which they are used."""
    random = np.random.default_rng([seed, epoch])
    offset = int(random.integers(steps))
    windows = (count - offset - 1) // steps
    return offset + steps * random.permutation(windows)


def _check_number(k: int, count: int) -> None:
    if not 0 <= k < count:
        raise ArgumentError(f"`k` must be a batch of the epoch, 0 to {count - 1}, got {k}.")


def heldout_windows(tokens: torch.Tensor, batch: int, steps: int) -> Iterator[Batch]:
    """Windows x, y (at most `steps`, B) that predict each of the N - 1 tokens after the first exactly once.

    Successive windows go on along at most `batch` long rows, with the state carried. Where the rows do not
    come out even, the targets past the end are IGNORE, which torch's cross entropy leaves out: sum the nats,
    divide by N - 1.
    """
    for name, value in (("batch", batch), ("steps", steps)):
        if value < 1:
            raise ArgumentError(f"`{name}` must be at least 1, got {value}.")
    predicted = len(tokens) - 1
    if predicted < 1:
        raise DataError(f"the held-out part has {len(tokens)} token: at least 2 are needed. Hold out more.")
    row = max(-(-predicted // batch), min(steps, predicted))  # rows shorter than a window would only lose context
    rows = -(-predicted // row)
    x, y = tokens.new_zeros(rows * row), tokens.new_full((rows * row,), IGNORE)
    x[:predicted], y[:predicted] = tokens[:-1], tokens[1:]
    x, y = x.view(rows, row).t(), y.view(rows, row).t()
    for begin in range(0, row, steps):
        yield x[begin : begin + steps].contiguous(), y[begin : begin + steps].contiguous()
