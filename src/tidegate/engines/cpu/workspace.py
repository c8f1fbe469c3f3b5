"""Memory that calls use and give back: fresh pages cost more than the arithmetic done in them.

Memory returns to the pool when the last tensor made from it is gone, so what autograd saved goes back as soon as
autograd drops it, and memory in use is never handed out twice. The pool keeps a bounded number of bytes; `release()`
gives all of them back to the system.
"""

import mmap
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from threading import RLock

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

Memory = np.ndarray

_lock = RLock()  # a garbage collection inside the lock may give memory back
_free: list[Memory] = []


def _take(size: int) -> Memory:
    """At least `size` bytes: pooled ones if some are large enough and less than four times too large, else fresh
    ones."""
    with _lock:
        fit = [i for i, m in enumerate(_free) if size <= m.nbytes <= 4 * size + SMALL]
        if fit:
            return _free.pop(min(fit, key=lambda i: _free[i].nbytes))
    return _fresh(size)


def _fresh(size: int) -> Memory:
    """New memory, aligned to cache lines; in huge pages where the system grants them."""
    if size < HUGE_PAGE:
        whole = np.empty(size + ALIGNMENT, np.uint8)
        skip = -whole.ctypes.data % ALIGNMENT
        return whole[skip : skip + size]
    pages = mmap.mmap(-1, -(-size // HUGE_PAGE) * HUGE_PAGE)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        pages.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(pages, np.uint8)


def _give_back(memory: Memory) -> None:
    with _lock:
        _free.append(memory)
        while sum(m.nbytes for m in _free) > LIMIT:
            _free.pop(0)


def release() -> None:
    """Free the memory that the pool keeps."""
    with _lock:
        _free.clear()


@contextmanager
def borrow(size: int) -> Iterator[int]:
    """The address of at least `size` bytes, for as long as the block lasts."""
    memory = _take(size)
    try:
        yield memory.ctypes.data
    finally:
        _give_back(memory)


def empty(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """torch.empty(shape), whose memory goes back to the pool when the last tensor on it is gone."""
    size = prod(shape) * dtype.itemsize
    if size < SMALL:
        return torch.empty(shape, dtype=dtype)
    memory = _take(size)
    array = memory[:size].view(NUMPY[dtype]).reshape(shape)
    weakref.finalize(array, _give_back, memory).atexit = False
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
