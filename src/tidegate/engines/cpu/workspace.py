"""Memory that calls use and give back: fresh pages cost more than the arithmetic done in them.

A `Block` is memory of at least the size asked for. It returns to the pool when the last tensor made from it is gone, so
what autograd saved goes back as soon as autograd drops it, and memory in use is never handed out twice. The pool keeps
a bounded number of bytes; `release()` gives all of them back to the system.
"""

import weakref
from threading import RLock

import torch
from torch import Tensor

#: Bytes that the pool keeps for later calls.
LIMIT = 1 << 30
ALIGNMENT = 64

_lock = RLock()  # a collection inside the lock may give a block back
_free: list[Tensor] = []


def block(size: int) -> Tensor:
    """A tensor of at least `size` bytes, from the pool if one there is fit: large enough, and less than four times too
    large."""
    with _lock:
        fit = [b for b in _free if size <= b.numel() <= 4 * size + (1 << 16)]
        base = min(fit, key=Tensor.numel) if fit else None
        if base is not None:
            _free[:] = [b for b in _free if b is not base]
    if base is None:
        base = torch.empty(size + ALIGNMENT, dtype=torch.uint8)
    view = base.numpy()[:]
    weakref.finalize(view, _give_back, base).atexit = False
    return torch.from_numpy(view)


def _give_back(base: Tensor) -> None:
    with _lock:
        _free.append(base)
        while sum(b.numel() for b in _free) > LIMIT:
            _free.pop(0)


def release() -> None:
    """Free the memory that the pool keeps."""
    with _lock:
        _free.clear()


class Layout:
    """Rooms in one block, by name."""

    def __init__(self, item: int):
        self.item, self.size = item, 0
        self.offset: dict[str, int] = {}

    def add(self, name: str, numbers: int) -> None:
        """Room for so many numbers, and for one vector more, as whole vectors may be read at the end."""
        self.offset[name] = self.size
        self.size += (numbers * self.item + 2 * ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT

    def addresses(self, block: Tensor) -> dict[str, int]:
        base = (block.data_ptr() + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
        return {name: base + at for name, at in self.offset.items()}
