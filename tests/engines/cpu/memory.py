"""Memory that reveals errors: full of NaN, so that a number that was not written is noticed, or followed by a
protected page, so that an access beyond the end ends the process."""

import ctypes
import mmap
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor

from tidegate.engines.cpu import workspace

Take = Callable[[int], workspace.Memory]


@contextmanager
def poisoned(take: Take = workspace.take) -> Iterator[None]:
    """All memory that the engine gets is full of NaN; scratch memory comes from `take`."""

    def nan_take(size: int) -> workspace.Memory:
        memory = take(size)
        memory.array[: memory.size // 8 * 8].view(np.float64)[:] = np.nan
        return memory

    def full_of_nan(new: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def nan_empty(*arguments, **options):
            made = new(*arguments, **options)
            if made.dtype == torch.uint8:
                return made.fill_(0xFF)  # NaN in every floating-point type
            return made.fill_(torch.nan) if made.is_floating_point() else made

        return nan_empty

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workspace, "take", nan_take)
        for owner, name in ((torch, "empty"), (torch, "empty_like"), (Tensor, "new_empty")):
            patch.setattr(owner, name, full_of_nan(getattr(owner, name)))
        yield


def before_a_protected_page(size: int, alignment: int) -> np.ndarray:
    """So many bytes, aligned, followed (as closely as the alignment allows) by a page that cannot be accessed."""
    whole = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS  # a forked child has its own
    array = np.frombuffer(mmap.mmap(-1, whole + mmap.PAGESIZE, flags=private), np.uint8)
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    if protect(ctypes.c_void_p(array.ctypes.data + whole), ctypes.c_size_t(mmap.PAGESIZE), 0):
        raise OSError(ctypes.get_errno(), "mprotect")
    start = (whole - size) // alignment * alignment
    return array[start : start + size]


def fenced_take(size: int) -> workspace.Memory:
    """As workspace.take, fresh each time and before a protected page."""
    memory = object.__new__(workspace.Memory)
    memory.array = before_a_protected_page(size, workspace.ALIGNMENT)
    memory.address, memory.size = memory.array.ctypes.data, size
    return memory


def fenced(x: Tensor) -> Tensor:
    """A copy of x before a protected page."""
    bytes_ = before_a_protected_page(x.numel() * x.element_size(), x.element_size())
    return torch.from_numpy(bytes_).view(x.dtype).view(x.shape).copy_(x)
