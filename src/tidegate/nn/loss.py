"""The output layer and its loss in one: a linear layer with cross-entropy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from tidegate.engines import saved_tensors, transforms
from tidegate.engines.cpu import host_refuses
from tidegate.errors import ArgumentError, ArgumentTypeError, ShapeError
from tidegate.nn.loss_form import LossForm, readable
from tidegate.nn.short_route import FORMS, entry, possible, surroundings

if TYPE_CHECKING:
    from tidegate.engines.cpu.linear_loss import Losses

Reduction = Literal["mean", "sum", "none"]


def linear_cross_entropy(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    target: Tensor,
    *,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Tensor:
    """The cross-entropy of a linear layer's scores, in nats: cross_entropy(x weight^T + bias, target).

    With z = x weight^T + bias, each row with a target t has the loss log(sum_v e^z_v) - z_t. Rows whose target is
    `ignore_index` have none, for instance beyond the end of a sequence. "mean" divides the sum of the losses by the
    number of the other rows (NaN if there are none); "none" returns the losses, 0 in ignored rows.

    x is (..., H), weight (V, H), bias (V,) or None, and target (...) class indices, 0 to V - 1 or `ignore_index`.

    In float32 and float64 on the CPU our kernels compute it. If a gradient is needed, they keep one (rows, V) matrix:
    the scores, overwritten by their gradients. Otherwise no (rows, V) matrix is stored. In all other cases (other
    types and devices, autocast, torch.compile, torch.func, "none", second derivatives) it is torch's linear and
    cross_entropy. Results of our kernels have the same bits for any number of threads.

    Raises ShapeError, ArgumentTypeError or ArgumentError for arguments that do not fit, and on the CPU IndicesError for
    a target that is not a class; on other devices such a target is an error of torch.
    """
    tensors = (x, weight, target) if bias is None else (x, weight, target, bias)
    key = None
    if reduction in ("mean", "sum") and type(ignore_index) is int and possible(x, "auto"):
        sizes = [t.shape if isinstance(t, Tensor) else None for t in tensors]
        key = (reduction, ignore_index, *surroundings(), *sizes)
        for form in known.get(key, ()):
            if form.same(*tensors):
                return form.run(tensors)
    check(x, weight, bias, target, reduction)
    if reduction == "none" or torch.compiler.is_compiling() or refuse(list(tensors)) is not None:
        return by_torch(x, weight, bias, target, ignore_index, reduction)
    if key is not None and len(known.get(key, ())) < FORMS and readable(*tensors):
        replay = replay_of(ignore_index, reduction)
        entry(known, key, []).append(LossForm(tensors, ignore_index, mean=reduction == "mean", replay=replay))
    needs_grad = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (x, weight, bias))
    if needs_grad:
        return _LinearCrossEntropy.apply(x, weight, bias, target, ignore_index, reduction)  # type: ignore[return-value]
    return by_kernels(x, weight, bias, target, ignore_index, reduction, keep=False)[0]


#: The forms of calls, by a key that all calls of a form share.
known: dict[tuple, list[LossForm]] = {}


def replay_of(ignore_index: int, reduction: Reduction) -> Callable[[Sequence[Tensor]], Tensor]:
    """A function that computes the loss of the tensors of a LossForm by torch's functions."""

    def replay(tensors: Sequence[Tensor]) -> Tensor:
        x, weight, target, *bias = tensors
        return by_torch(x, weight, bias[0] if bias else None, target, ignore_index, reduction)

    return replay


def check(x: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor, reduction: str) -> None:
    """Check the arguments against each other."""
    if reduction not in get_args(Reduction):
        raise ArgumentError(f"`reduction` must be one of {', '.join(get_args(Reduction))}, got {reduction!r}.")
    if weight.dim() != 2 or x.dim() < 1 or x.shape[-1] != weight.shape[1]:
        raise ShapeError(
            f"`x` must be (..., H) and `weight` (V, H), got {tuple(x.shape)} and {tuple(weight.shape)}. The weight of "
            "torch.nn.Linear(H, V) has this form."
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(f"`bias` must have shape (V,) = ({weight.shape[0]},), got {tuple(bias.shape)}.")
    if target.shape != x.shape[:-1]:
        raise ShapeError(
            f"`target` must have the shape of `x` without its last dimension, {tuple(x.shape[:-1])}, got "
            f"{tuple(target.shape)}."
        )
    if target.is_floating_point() or target.is_complex() or target.dtype is torch.bool:
        raise ArgumentTypeError(f"`target` must be class indices, integers, got {target.dtype}.")


def refuse(tensors: list[Tensor]) -> str | None:
    """Why our kernels cannot compute it, as the end of a sentence; None if they can."""
    x, weight, target, *_ = tensors
    if (reason := transforms.refuse_tensors(tensors)) is not None:
        return reason
    if weight.dtype not in (torch.float32, torch.float64) or torch.is_autocast_enabled("cpu"):
        return "it computes in float32 and float64"
    if any(t.dtype is not weight.dtype for t in tensors if t is not target):
        return "its tensors have different types"
    if not all(t.is_cpu for t in tensors):
        return "it runs on the CPU"
    if 0 in x.shape or 0 in weight.shape:
        return "a tensor is empty"
    return host_refuses()


def by_torch(
    x: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor, ignore_index: int, reduction: Reduction
) -> Tensor:
    """The same with torch's functions, on any device and differentiable to any order."""
    scores = functional.linear(x, weight, bias).reshape(-1, len(weight))
    loss = functional.cross_entropy(
        scores, target.reshape(-1).to(torch.int64), ignore_index=ignore_index, reduction=reduction
    )
    return loss.reshape(target.shape) if reduction == "none" else loss


def by_kernels(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    target: Tensor,
    ignore_index: int,
    reduction: Reduction,
    *,
    keep: bool,
) -> tuple[Tensor, Losses]:
    """The loss on our kernels, outside torch's graph, and with `keep` what its gradients need."""
    from tidegate.engines.cpu import linear_loss

    rows, wanted = x.detach().reshape(-1, x.shape[-1]), target.reshape(-1).to(torch.int64)
    b = None if bias is None else bias.detach()
    found = linear_loss.losses(rows, weight.detach(), b, wanted, ignore_index, keep=keep)
    return weight.new_tensor(found.mean if reduction == "mean" else found.total), found


class _LinearCrossEntropy(torch.autograd.Function):
    """The loss on our kernels, as one node of torch's graph."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        target: Tensor,
        ignore_index: int,
        reduction: Reduction,
    ) -> Tensor:
        loss, found = by_kernels(x, weight, bias, target, ignore_index, reduction, keep=True)
        ctx.form = ignore_index, reduction, found.count
        saved_tensors.save(ctx, (x, weight, bias, target, found.d))
        return loss

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        from tidegate.engines.cpu import linear_loss

        x, weight, bias, target, d_scores = saved_tensors.read(ctx)
        _, reduction, count = ctx.form
        needed = ctx.needs_input_grad[:3]
        if torch.is_grad_enabled() or transforms.refuse_tensors([d]) is not None:
            return *by_torch_gradients((x, weight, bias), target, ctx.form, needed, d), None, None, None
        scale = float(d) / max(count, 1) if reduction == "mean" else float(d)
        d_x, d_weight, d_bias = linear_loss.gradients(
            x.detach().reshape(-1, x.shape[-1]), weight.detach(), d_scores, scale,
            need_x=needed[0], need_w=needed[1], need_b=needed[2],
        )  # fmt: skip
        return None if d_x is None else d_x.reshape(x.shape), d_weight, d_bias, None, None, None


def by_torch_gradients(
    tensors: tuple[Tensor, Tensor, Tensor | None],
    target: Tensor,
    form: tuple[int, Reduction, int],
    needed: tuple[bool, ...],
    d: Tensor,
) -> tuple[Tensor | None, ...]:
    """The gradients by torch's functions; where gradients are enabled, differentiable in turn. One tensor may have
    several roles, so each has an alias."""
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        x, weight, bias = (None if t is None else t.view_as(t) for t in tensors)
        loss = by_torch(x, weight, bias, target, *form[:2])  # type: ignore[arg-type]
        wanted = [t for t, need in zip((x, weight, bias), needed) if need and t is not None]
        found = iter(torch.autograd.grad(loss, wanted, d, create_graph=create_graph))
    return tuple(next(found) if need else None for need in needed)
