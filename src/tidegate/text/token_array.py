"""Token indices, in memory or in a memory-mapped file, in the smallest integer type that holds them."""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

BLOCK = 1 << 22  # tokens that a pass over the array reads at once


@dataclass(frozen=True, eq=False)
class TokenArray:
    """N token indices, of which only what is read is brought into memory.

    `stored` (N,) are unsigned integers; with a `table`, token k is table[stored[k]]. `pages` is the file mapping under
    `stored`, None for an array in memory.
    """

    stored: np.ndarray
    table: np.ndarray | None = None
    pages: mmap.mmap | None = field(default=None, repr=False)

    @classmethod
    def of(cls, tokens: "TokenArray | torch.Tensor") -> "TokenArray":
        """The array of a tensor (N,) of integers, or the array itself."""
        return tokens if isinstance(tokens, TokenArray) else cls(tokens.numpy(force=True))

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, part: slice) -> torch.Tensor:
        """The indices of a slice, int64, a copy."""
        return torch.from_numpy(self._indices(self.stored[part]).astype(np.int64))

    def at(self, places: np.ndarray) -> torch.Tensor:
        """The indices at `places` (integers of any shape), int64, of the same shape."""
        return torch.from_numpy(self._indices(self.stored[places]).astype(np.int64, order="C"))

    def part(self, part: slice) -> "TokenArray":
        """The array of a slice, which shares the memory."""
        return TokenArray(self.stored[part], self.table, self.pages)

    def blocks(self, overlap: int = 0) -> Iterator[np.ndarray]:
        """The indices in order, a block at a time, in a small integer type; each begins `overlap` tokens before the
        end of the one before it. The pages of a mapped file are released after each block."""
        for begin in range(0, len(self) - overlap, BLOCK):
            yield self._indices(self.stored[begin : begin + BLOCK + overlap])
            self.release()

    def release(self) -> None:
        """Release the pages of the file mapping that were read to the system; they are read again when needed."""
        if self.pages is not None and hasattr(self.pages, "madvise"):
            self.pages.madvise(mmap.MADV_DONTNEED)

    def _indices(self, stored: np.ndarray) -> np.ndarray:
        return stored if self.table is None else self.table[stored]
