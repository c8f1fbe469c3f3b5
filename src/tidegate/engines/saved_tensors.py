"""Tensors that a node of torch's graph saves for its backward pass, checked when it gets them back.

torch gives back the tensors that were saved, but a hook of saved tensors (`torch.autograd.graph`) may return others,
and an assignment to `.data` changes a parameter without torch's notice. Kernels read memory by the sizes and types that
the forward pass had.
"""

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from tidegate.errors import EngineError


def save(ctx: Any, tensors: tuple[Tensor | None, ...]) -> None:
    """As `ctx.save_for_backward`."""
    ctx.kinds = [kind(t) for t in tensors]
    ctx.save_for_backward(*tensors)


def read(ctx: Any) -> tuple[Any, ...]:
    """The tensors that `save` was given, as `check` accepts them. Read them once in a backward pass: each time torch
    calls the unpack hooks, as those of a checkpoint."""
    tensors = ctx.saved_tensors
    check(tensors, ctx.kinds)
    return tensors


def check(tensors: Iterable[Tensor | None], kinds: Iterable[tuple | None]) -> None:
    """EngineError unless the tensors have these types, sizes and devices. Their strides may be others."""
    for t, expected in zip(tensors, kinds, strict=True):
        if kind(t) != expected:
            raise EngineError(
                f"a tensor that was saved for the backward pass as {describe(expected)} is {describe(kind(t))} now: a "
                "hook of saved tensors or an assignment to `.data` has changed it. Let the hook return the type and "
                "sizes that it was given, and assign to `.data` after the backward pass."
            )


def kind(t: Tensor | None) -> tuple | None:
    """Type, sizes and device."""
    return None if t is None else (t.dtype, t.shape, t.device)


def describe(kind: tuple | None) -> str:
    return "None" if kind is None else f"{kind[0]} of shape {tuple(kind[1])} on {kind[2]}"
