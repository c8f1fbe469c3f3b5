"""What the forms of calls share. A form is all that repeated calls of a module have in common: class, type, sizes and
strides of every tensor, and the modes of torch."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from tidegate.engines import Call, saved_tensors

#: The dimensions of time and of the batch in an input or in outputs; None for one that they do not have.
Axes = tuple[int | None, int | None]
TIME_FIRST: Axes = (0, 1)
BATCH_FIRST: Axes = (1, 0)
UNBATCHED: Axes = (0, None)
STEP: Axes = (None, None)  # of a cell


class Sizes(NamedTuple):
    """The axes of x, the sizes of outputs (None for a cell) and their axes, and the sizes of each new state."""

    x: Axes
    outputs: tuple[int, ...] | None
    axes: Axes
    state: tuple[int, ...]


class Calls(NamedTuple):
    """A call of a module as the general route sees it: the calls of its layers and directions, and the sizes of what
    the module takes and returns. After the first layer, x only has the right sizes."""

    calls: list[Call]
    sizes: Sizes
    directions: int = 1
    dropout: float = 0.0


def time_first(x: Tensor, axes: Axes, T: int, B: int) -> Tensor:
    """x as (T, B, D), or (T, B) for class indices."""
    if axes == BATCH_FIRST:
        return x.transpose(0, 1)
    return x.reshape(T, B, -1) if x.is_floating_point() else x.reshape(T, B)


def extent(t: Tensor) -> int:
    """The bytes from the first number of `t` to the end of its last; t is not empty."""
    return t.itemsize * (1 + sum((n - 1) * s for n, s in zip(t.shape, t.stride())))


def layout(t: Tensor) -> tuple:
    """How `t` lies in memory: a hook of saved tensors, or an assignment to `.data`, may change that."""
    return saved_tensors.kind(t), t.layout, t.stride(), t.is_neg()


def template(size: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """A tensor for torch.empty_like, on the CPU whatever the default device is; without memory, as forms live long."""
    made = torch.empty(size, dtype=dtype, device="cpu")
    made.untyped_storage().resize_(0)
    return made
