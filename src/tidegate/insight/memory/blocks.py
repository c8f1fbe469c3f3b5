"""Positions spread over a sequence, in blocks; means over them with standard errors that allow for dependence."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.insight.recording import Array
from tidegate.insight.tracking.block_error import student

BLOCK = 200  # tokens of a block at least: more than a word or a line, within which losses are correlated
BLOCKS = 64  # blocks at most: longer blocks allow for longer correlations, and 64 determine an error to about 9 %
FEWEST = 8  # blocks at least


@dataclass(frozen=True, eq=False)
class Places:
    """Positions (blocks * m,) in increasing order, m of each block.

    The blocks are adjacent intervals of the sequence, of equal length, with `span` positions or more each.
    """

    positions: NDArray[np.int64]
    blocks: int
    span: int

    def __len__(self) -> int:
        return len(self.positions)

    def thinned(self, count: int) -> NDArray[np.int64]:
        """Indices of at most `count` of these positions, the same number in each block, but at least one."""
        m = len(self) // self.blocks
        kept = max(1, min(m, count // self.blocks))
        inside = np.arange(kept) * m // kept
        return (np.arange(self.blocks)[:, None] * m + inside).ravel()

    def error(self, values: Array) -> Array:
        """The standard error of the mean over the positions (the last axis), from the spread of the block means.

        With n blocks of means v_i: sqrt(sum_i (v_i - mean)^2 / (n (n - 1))). It remains correct if positions within a
        block are dependent; it is too small if positions more than a block apart are dependent.
        """
        means = values.reshape(*values.shape[:-1], self.blocks, -1).mean(-1)
        return means.std(-1, ddof=1) / math.sqrt(self.blocks)

    @property
    def bound(self) -> float:
        """Half of the two-sided 95 % interval in standard errors: the 0.975 quantile of Student's t distribution with
        one degree of freedom less than the number of blocks."""
        return student(self.blocks - 1)


def spread(begin: int, end: int, count: int, random: np.random.Generator) -> Places:
    """About `count` different positions in begin..end - 1.

    The interval is cut into 8 to 64 equal blocks of at least 200 positions, and each block into equal parts with one
    random position in each, so that the positions have no period that could coincide with one of the text. The interval
    must have 8 * 200 positions at least.
    """
    blocks = min((end - begin) // BLOCK, BLOCKS)
    m = max(1, min(count // blocks, (end - begin) // blocks))
    edges = np.linspace(begin, end, blocks * m + 1).astype(np.int64)
    return Places(random.integers(edges[:-1], edges[1:]), blocks, (end - begin) // blocks)
