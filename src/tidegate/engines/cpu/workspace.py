"""A pool of memory for the arrays of calls, as page faults of new memory take longer than the arithmetic on it.

Memory returns to the pool when the last tensor made from it is gone, so what autograd saved goes back as soon as
autograd drops it, and memory in use is never lent twice. The pool keeps a bounded number of bytes, drops memory
that many calls did not use, and releases everything to the system on request (see `tidegate.memory`).
"""

import mmap
from contextlib import suppress
from itertools import count
from math import prod

import numpy as np
import torch
from torch import Tensor

#: Bytes that the pool keeps for later calls at most, unless `tidegate.memory.set_limit` sets another number.
LIMIT = 1 << 29
#: Memory that is not reused during this many returns to the pool is released to the system. A training step of one
#: layer and direction makes about ten returns.
RETURNS = 1000
#: Tensors of fewer bytes are allocated by torch.
SMALL = 1 << 18
ALIGNMENT = 64
HUGE_PAGE = 1 << 21

#: The types of arrays, by those of the tensors on their memory; NumPy has no bfloat16.
NUMPY = {
    torch.float32: np.float32,
    torch.float64: np.float64,
    torch.uint8: np.uint8,
    torch.float16: np.float16,
    torch.bfloat16: np.int16,
}


class Memory:
    """`size` bytes from `address` on, aligned to cache lines; in huge pages where the system grants them."""

    __slots__ = ("address", "array", "returned", "size")

    def __init__(self, size: int):
        self.array = _huge(size) if size >= HUGE_PAGE else _aligned(size)
        self.address, self.size, self.returned = self.array.ctypes.data, self.array.nbytes, 0


def _aligned(size: int) -> np.ndarray:
    whole = np.empty(size + ALIGNMENT, np.uint8)
    skip = -whole.ctypes.data % ALIGNMENT
    return whole[skip : skip + size]


def _huge(size: int) -> np.ndarray:
    """Memory in huge pages: only private mappings that are aligned to them can use them. In a shared mapping a forked
    child would also write to its parent's memory."""
    whole = -(-size // HUGE_PAGE) * HUGE_PAGE
    if not hasattr(mmap, "MAP_PRIVATE"):
        return np.frombuffer(mmap.mmap(-1, whole), np.uint8)
    pages = mmap.mmap(-1, whole + HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # raised by a system without huge pages
            pages.madvise(mmap.MADV_HUGEPAGE)
    memory = np.frombuffer(pages, np.uint8)
    skip = -memory.ctypes.data % HUGE_PAGE
    return memory[skip : skip + whole]


class Pool:
    """Free memory for later calls, in the order in which it came back, and the sizes of what is in use.

    There is no lock: a garbage collection may give memory back, and run anything else, at any point of these functions.
    """

    def __init__(self, limit: int):
        self.limit = limit
        self.free: list[Memory] = []
        self._lent: dict[int, int] = {}  # bytes by address
        self._returns = count()

    def take(self, size: int) -> Memory:
        """At least `size` bytes: pooled ones if some are large enough and less than four times too large, else fresh
        ones."""
        memory = self._pooled(size) or Memory(size)
        self._lent[memory.address] = memory.size
        return memory

    def _pooled(self, size: int) -> Memory | None:
        while True:
            best, most = None, 4 * size + SMALL
            for memory in self.free:
                if size <= memory.size < most:
                    best, most = memory, memory.size
            if best is None:
                return None
            try:
                self.free.remove(best)
            except ValueError:  # another thread has taken it meanwhile
                continue
            return best

    def give_back(self, memory: Memory) -> None:
        self._lent.pop(memory.address, None)
        if memory.size <= self.limit:
            memory.returned = next(self._returns)
            self.free.append(memory)
            self.trim(memory.returned - RETURNS)

    def trim(self, oldest: int = 0) -> None:
        """Drop what was returned before return number `oldest`, then the oldest until the limit is met."""
        kept = self.kept()
        for memory in list(self.free):
            if memory.returned >= oldest and kept <= self.limit:
                break
            with suppress(ValueError):  # another thread has taken it meanwhile
                self.free.remove(memory)
            kept -= memory.size

    def kept(self) -> int:
        """Bytes of free memory."""
        return sum([memory.size for memory in list(self.free)])

    def in_use(self) -> int:
        """Bytes of memory that was taken and has not come back."""
        return sum(list(self._lent.values()))


pool = Pool(LIMIT)


def take(size: int) -> Memory:
    return pool.take(size)


def give_back(memory: Memory) -> None:
    pool.give_back(memory)


class _Lent(np.ndarray):
    """An array that gives its memory back when the last tensor on it is gone; weakref.finalize takes twice as long."""

    memory: Memory | None = None  # None in views of it

    def __del__(self) -> None:
        if self.memory is not None:
            give_back(self.memory)


def release() -> None:
    """Give the memory that the pool keeps back to the system."""
    pool.free.clear()


def empty(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """torch.empty(shape), whose memory goes back to the pool when the last tensor on it is gone."""
    size = prod(shape) * dtype.itemsize
    if size < SMALL:
        return torch.empty(shape, dtype=dtype, device="cpu")
    memory = take(size)
    array = _Lent(shape, NUMPY[dtype], memory.array)
    array.memory = memory
    lent = torch.from_numpy(array)
    if lent.dtype is dtype:
        return lent
    # A tensor that takes the storage is not a view for torch, so a caller may change it in place.
    return torch.empty(0, dtype=dtype, device="cpu").set_(lent.untyped_storage(), 0, shape, lent.stride())


def empty_like(t: Tensor) -> Tensor:
    """As `empty`, with the size and the type of `t`."""
    return empty(tuple(t.shape), t.dtype)


class Layout:
    """Arrays in one piece of memory: their byte offsets by name."""

    def __init__(self, item: int):
        self.item, self.size = item, 0
        self.offset: dict[str, int] = {}

    def add(self, name: str, numbers: int) -> None:
        """An array of so many numbers, with the bytes of one vector after it, as whole vectors may be read at the
        end."""
        self.offset[name] = self.size
        self.size += (numbers * self.item + 2 * ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
