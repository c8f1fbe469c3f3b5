"""Memory that calls use and give back: fresh pages cost more than the arithmetic done in them.

Memory returns to the pool when the last tensor made from it is gone, so what autograd saved goes back as soon as
autograd drops it, and memory in use is never handed out twice. The pool keeps a bounded number of bytes; `release()`
gives all of them back to the system.
"""

import mmap
from contextlib import suppress
from math import prod

import numpy as np
import torch
from torch import Tensor

#: Bytes that the pool keeps for later calls.
LIMIT = 1 << 30
#: Bytes below which a tensor is left to torch.
SMALL = 1 << 18
ALIGNMENT = 64
HUGE_PAGE = 1 << 21

NUMPY = {torch.float32: np.float32, torch.float64: np.float64, torch.uint8: np.uint8}


class Memory:
    """`size` bytes from `address` on, aligned to cache lines; in huge pages where the system grants them."""

    __slots__ = ("address", "array", "size")

    def __init__(self, size: int):
        self.array = _huge(size) if size >= HUGE_PAGE else _aligned(size)
        self.address, self.size = self.array.ctypes.data, self.array.nbytes


def _aligned(size: int) -> np.ndarray:
    whole = np.empty(size + ALIGNMENT, np.uint8)
    skip = -whole.ctypes.data % ALIGNMENT
    return whole[skip : skip + size]


def _huge(size: int) -> np.ndarray:
    """Memory in huge pages: only private memory comes in them, and only where it is aligned to them. Shared memory
    would also let a forked child write in its parent's."""
    whole = -(-size // HUGE_PAGE) * HUGE_PAGE
    if not hasattr(mmap, "MAP_PRIVATE"):
        return np.frombuffer(mmap.mmap(-1, whole), np.uint8)
    pages = mmap.mmap(-1, whole + HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # as a system without huge pages says
            pages.madvise(mmap.MADV_HUGEPAGE)
    memory = np.frombuffer(pages, np.uint8)
    skip = -memory.ctypes.data % HUGE_PAGE
    return memory[skip : skip + whole]


# There is no lock: a garbage collection may give memory back, and run anything else, at any point of these functions.
_free: list[Memory] = []


def take(size: int) -> Memory:
    """At least `size` bytes: pooled ones if some are large enough and less than four times too large, else fresh
    ones."""
    while True:
        best, most = None, 4 * size + SMALL
        for memory in _free:
            if size <= memory.size < most:
                best, most = memory, memory.size
        if best is None:
            return Memory(size)
        try:
            _free.remove(best)
        except ValueError:  # another thread has taken it meanwhile
            continue
        return best


def give_back(memory: Memory) -> None:
    _free.append(memory)
    while sum([m.size for m in _free]) > LIMIT:
        del _free[:1]


class _Lent(np.ndarray):
    """An array that gives its memory back when the last tensor on it is gone; weakref.finalize takes twice as long."""

    memory: Memory | None = None  # none in views of it

    def __del__(self) -> None:
        if self.memory is not None:
            give_back(self.memory)


def release() -> None:
    """Free the memory that the pool keeps."""
    _free.clear()


def empty(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """torch.empty(shape), whose memory goes back to the pool when the last tensor on it is gone."""
    size = prod(shape) * dtype.itemsize
    if size < SMALL:
        return torch.empty(shape, dtype=dtype)
    memory = take(size)
    array = _Lent(shape, NUMPY[dtype], memory.array)
    array.memory = memory
    return torch.from_numpy(array)


class Layout:
    """Rooms in one piece of memory: byte offsets by name."""

    def __init__(self, item: int):
        self.item, self.size = item, 0
        self.offset: dict[str, int] = {}

    def add(self, name: str, numbers: int) -> None:
        """Room for so many numbers, and for one vector more, as whole vectors may be read at the end."""
        self.offset[name] = self.size
        self.size += (numbers * self.item + 2 * ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
