"""A text cut into passages of equal length, each read from the state zero after a warm-up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from tidegate.errors import ShapeError
from tidegate.insight.reading import Reading

WARMUP = 100  # tokens before each passage that are read and not counted
SHORTEST = 200  # tokens of a passage


@dataclass(frozen=True)
class Passages:
    """M passages of `length` tokens. starts (M,): the index of the first token of each, after its warm-up."""

    starts: np.ndarray
    length: int
    warmup: int = WARMUP

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def counted(self) -> np.ndarray:
        """The token indices (M, length) that are counted."""
        return self.starts[:, None] + np.arange(self.length)

    def inputs(self, reading: Reading) -> Tensor:
        """The tokens (warmup + length, M), warm-up first."""
        return self._rows(reading, 0)

    def targets(self, reading: Reading) -> Tensor:
        """The token after each input, (warmup + length, M)."""
        return self._rows(reading, 1)

    def _rows(self, reading: Reading, offset: int) -> Tensor:
        steps = np.arange(-self.warmup, self.length) + offset
        return reading.ids[self.starts[None, :] + steps[:, None]]


def cut(reading: Reading, name: str, *, positions: int, most: int) -> Passages:
    """At most `most` passages without common counted tokens, spread evenly over the text, with about `positions`
    counted tokens in all.

    A text that is too short for `most` passages of 200 tokens has fewer. Raises ShapeError if it is too short for one
    passage of 200 tokens after the warm-up.
    """
    available = len(reading) - WARMUP - 1  # the last token is only a target
    if available < SHORTEST:
        raise ShapeError(
            f"`{name}` must have at least {WARMUP + SHORTEST + 1} tokens, of which {WARMUP} are for the "
            f"warm-up, got {len(reading)}. Use a longer text."
        )
    used = min(positions, available)
    count = max(1, min(most, used // SHORTEST))
    length = used // count
    starts = WARMUP + np.linspace(0, available - length, count).astype(np.int64) if count > 1 else np.array([WARMUP])
    return Passages(starts, length)
