"""The boundary between torch and the kernels: the only file that converts tensors to addresses and plain numbers.

A kernel does not check its arguments, so each function here returns memory of a checked form: on the CPU, dense, of the
type that the kernel computes in, with adjacent numbers in each row, and with lazy negation (`is_neg`) applied. `launch`
checks the sizes against each other.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from tidegate.engines.call import checked_indices
from tidegate.errors import EngineError


def address(t: Tensor | None) -> int:
    """The address of the first number; 0 for None. EngineError if the tensor's storage does not hold all of its
    numbers."""
    if t is None:
        return 0
    if count := t.numel():
        if not t.is_contiguous():
            count = 1 + sum((n - 1) * s for n, s in zip(t.shape, t.stride()))
        if (t.storage_offset() + count) * t.itemsize > t.untyped_storage().nbytes():
            raise EngineError(
                f"the storage of a tensor of shape {tuple(t.shape)} has {t.untyped_storage().nbytes()} bytes, fewer "
                "than its numbers need: it was resized, as FSDP does between uses. Use the layer where its tensors "
                "hold their values."
            )
    return t.data_ptr()


def addresses(tensors: Sequence[Tensor], extents: Sequence[tuple[int, int]]) -> list[int]:
    """The addresses of tensors of known form, whose storage is checked as by `address`. extents: of each tensor the
    bytes of a number, and those from its first number to the end of its last."""
    found = [
        t.data_ptr()
        for t, (item, size) in zip(tensors, extents)
        if t.storage_offset() * item + size <= t.untyped_storage().nbytes()
    ]
    return found if len(found) == len(extents) else [address(t) for t in tensors]


def rows(t: Tensor) -> Tensor:
    """`t` with adjacent numbers in each row (the last dimension) and lazy negation applied."""
    t = t.resolve_neg() if t.is_neg() else t
    return t if t.stride(-1) == 1 or t.shape[-1] == 1 else t.contiguous()


def whole(t: Tensor) -> Tensor:
    """`t` contiguous in memory, with lazy negation applied."""
    t = t.resolve_neg() if t.is_neg() else t
    return t if t.is_contiguous() else t.contiguous()


def gradient(d: Tensor, like: Tensor) -> Tensor:
    """A gradient that autograd passes to a backward pass, checked to be plain memory of the type of `like`."""
    if type(d) is not Tensor or d.dtype is not like.dtype or not d.is_cpu or d.layout is not torch.strided:
        raise EngineError(
            f'engine "cpu" takes gradients as dense {like.dtype} tensors on the CPU, got a {type(d).__name__} of '
            f'{d.dtype}, {d.layout}, on {d.device}. Use engine="eager".'
        )
    return d


def indices(x: Tensor, D: int) -> Tensor:
    """Class indices (T, B) as contiguous int64, checked to lie in 0..D-1: kernels read and write rows by them."""
    return whole(checked_indices(x, D).to(torch.int64))
