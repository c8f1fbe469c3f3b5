"""Minibatches of a token sequence, time first: sequential partition, random sampling, held-out windows.

Batch k of epoch e depends on (tokens, seed, e, k) alone: a run that stops and resumes gets the same batches.

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
from tidegate.text.token_array import TokenArray

Batch = tuple[torch.Tensor, torch.Tensor]
IGNORE = -100  # the target that torch's cross entropy ignores


@dataclass(frozen=True, eq=False)
class Batches(ABC):
    """Minibatches of `batch` rows (B) by `steps` (T) from `tokens` (N,), integers, which may lie in a file.

    Each epoch skips a random number of tokens at the beginning, so that windows begin at different places; `seed` (0
    or more) determines them. Batches are on the CPU. Raises DataError where there are too few tokens for one batch.
    """

    tokens: TokenArray | torch.Tensor
    batch: int
    steps: int
    seed: int = 0

    carries_state: ClassVar[bool]
    """Whether row b of batch k + 1 continues row b of batch k."""

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
        """The least number of tokens that suffices for one batch with every offset."""

    @abstractmethod
    def count(self, epoch: int) -> int:
        """How many batches the epoch has; the offset changes it by at most one."""

    @abstractmethod
    def several(self, epoch: int, first: int, count: int) -> list[Batch]:
        """Batches `first`, `first` + 1 and so on, `count` of them, read at once; they share memory."""

    def at(self, epoch: int, k: int) -> Batch:
        """Inputs x (T, B) and targets y (T, B) of batch `k`, each target the token after its input."""
        return self.several(epoch, k, 1)[0]

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch in order, from number `start`."""
        return (self.at(epoch, k) for k in range(start, self.count(epoch)))


class Sequential(Batches):
    """Sequential partition: B long rows of the text; successive batches are successive windows of them.

    The state is carried from batch to batch and detached. The offset is 0 to T, both included.
    """

    carries_state = True

    @staticmethod
    def needed(batch: int, steps: int) -> int:
        return steps + batch * steps + 1

    def count(self, epoch: int) -> int:
        return self._row(self._offset(epoch)) // self.steps

    def several(self, epoch: int, first: int, count: int) -> list[Batch]:
        offset, T = self._offset(epoch), self.steps
        row = self._row(offset)
        _check_numbers(first, count, row // T)
        begins = offset + first * T + row * np.arange(self.batch)
        found = TokenArray.of(self.tokens).at(begins + np.arange(count * T + 1)[:, None])
        return [(found[t : t + T], found[t + 1 : t + 1 + T]) for t in range(0, count * T, T)]

    def _offset(self, epoch: int) -> int:
        return _offset(self.steps, self.seed, epoch)

    def _row(self, offset: int) -> int:
        return (len(self.tokens) - offset - 1) // self.batch


class RandomSampling(Batches):
    """Random sampling: windows of T cut from the text, in a new random order in each epoch, B at a time.

    Rows of a batch, and successive batches, are unrelated: the state begins at zero in each. The offset is 0 to T - 1.
    """

    carries_state = False

    @staticmethod
    def needed(batch: int, steps: int) -> int:
        return steps - 1 + batch * steps + 1

    def count(self, epoch: int) -> int:
        return _window_count(len(self.tokens), self.steps, self.seed, epoch) // self.batch

    def several(self, epoch: int, first: int, count: int) -> list[Batch]:
        _check_numbers(first, count, self.count(epoch))
        order = _window_order(len(self.tokens), self.steps, self.seed, epoch)
        windows = order[first * self.batch : (first + count) * self.batch].astype(np.int64)
        begins = _random_offset(self.steps, self.seed, epoch) + self.steps * windows.reshape(count, 1, self.batch)
        found = TokenArray.of(self.tokens).at(begins + np.arange(self.steps + 1)[:, None])
        return [(window[:-1], window[1:]) for window in found.unbind()]


@lru_cache(maxsize=2)
def _offset(steps: int, seed: int, epoch: int) -> int:
    """The number of tokens that an epoch of sequential batches skips at the beginning."""
    return int(np.random.default_rng([seed, epoch]).integers(steps, endpoint=True))


def _random_offset(steps: int, seed: int, epoch: int) -> int:
    """The number of tokens that an epoch of random batches skips at the beginning."""
    return int(np.random.default_rng([seed, epoch]).integers(steps))


def _window_count(count: int, steps: int, seed: int, epoch: int) -> int:
    return (count - _random_offset(steps, seed, epoch) - 1) // steps


@lru_cache(maxsize=1)
def _window_order(count: int, steps: int, seed: int, epoch: int) -> np.ndarray:
    """The epoch's windows in the order in which they are used: 4 bytes for each, 230 MB for 2e9 tokens and 35 steps."""
    random = np.random.default_rng([seed, epoch])
    windows = (count - int(random.integers(steps)) - 1) // steps
    return random.permutation(np.arange(windows, dtype=np.uint32 if windows < 2**32 else np.int64))


def _check_numbers(first: int, several: int, count: int) -> None:
    if several < 1:
        raise ArgumentError(f"`count` must be at least 1, got {several}.")
    for k in (first, first + several - 1):
        if not 0 <= k < count:
            raise ArgumentError(f"`k` must be a batch of the epoch, 0 to {count - 1}, got {k}.")


def heldout_windows(tokens: TokenArray | torch.Tensor, batch: int, steps: int) -> Iterator[Batch]:
    """Windows x, y (at most `steps`, B) that predict each of the N - 1 tokens after the first exactly once.

    Successive windows continue at most `batch` long rows, through which the state is carried. Where the rows do not
    have the same length, the targets past the end are IGNORE, which torch's cross entropy ignores: sum the nats,
    divide by N - 1.
    """
    for name, value in (("batch", batch), ("steps", steps)):
        if value < 1:
            raise ArgumentError(f"`{name}` must be at least 1, got {value}.")
    predicted = len(tokens) - 1
    if predicted < 1:
        raise DataError(f"the held-out part has {len(tokens)} token: at least 2 are needed. Hold out more.")
    tokens = TokenArray.of(tokens)
    row = max(-(-predicted // batch), min(steps, predicted))  # rows shorter than a window would only lose context
    rows = row * np.arange(-(-predicted // row))
    for begin in range(0, row, steps):
        places = rows + np.arange(begin, min(row, begin + steps))[:, None]
        past = torch.from_numpy(places >= predicted)
        places = np.minimum(places, predicted - 1)
        yield tokens.at(places).masked_fill(past, 0), tokens.at(places + 1).masked_fill(past, IGNORE)
