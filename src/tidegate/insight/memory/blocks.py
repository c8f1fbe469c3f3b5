"""Places spread over a sequence, in blocks; means over them with standard errors that allow for dependence."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.insight.recording import Array
from tidegate.insight.tracking.block_error import student

BLOCK = 200  # tokens that a block spans at least; more than a word or a line, over which losses are correlated
BLOCKS = 64  # blocks at most: longer blocks allow for longer correlations, and 64 determine an error to about 9 %
FEWEST = 8  # blocks at least


@dataclass(frozen=True, eq=False)
class Places:
    """Positions (blocks * m,) in increasing order, the m of each block one after the other.

    The blocks are equal, adjacent intervals of the sequence, of `span` positions or more each.
    """

    positions: NDArray[np.int64]
    blocks: int
    span: int

    def __len__(self) -> int:
        return len(self.positions)

    def thinned(self, count: int) -> NDArray[np.int64]:
        """Indices of at most `count` of these places, or one for each block, the same number in each block."""
        m = len(self) // self.blocks
        kept = max(1, min(m, count // self.blocks))
        inside = np.arange(kept) * m // kept
        return (np.arange(self.blocks)[:, None] * m + inside).ravel()

    def error(self, values: Array) -> Array:
        """The standard error of the mean over places (the last axis), from the spread of the block means.

        With n blocks of means v_i: sqrt(sum_i (v_i - mean)^2 / (n (n - 1))). Dependence between places of one block
        does not make it too small; dependence over more than a block does.
        """
        means = values.reshape(*values.shape[:-1], self.blocks, -1).mean(-1)
        return means.std(-1, ddof=1) / math.sqrt(self.blocks)

    @property
    def bound(self) -> float:
        """Standard errors from the mean to the end of the two-sided 95 % interval: the quantile 0.975 of Student's t
        with one degree of freedom less than there are blocks."""
        return student(self.blocks - 1)


def spread(begin: int, end: int, count: int, random: np.random.Generator) -> Places:
    """About `count` places in begin..end - 1, at most one at each position.

    The interval is cut into 8 to 64 equal blocks of at least 200 positions, and each block into equal parts with one
    place in each, at random: no period of the text can coincide with that of the places. The interval must have
    8 * 200 positions at least.
    """
    blocks = min((end - begin) // BLOCK, BLOCKS)
    m = max(1, min(count // blocks, (end - begin) // blocks))
    edges = np.linspace(begin, end, blocks * m + 1).astype(np.int64)
    return Places(random.integers(edges[:-1], edges[1:]), blocks, (end - begin) // blocks)
