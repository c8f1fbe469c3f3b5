"""Forms of calls of `linear_cross_entropy`: what is the same in all of its calls is looked up once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tidegate.engines import autograd, saved_tensors, transforms
from tidegate.engines.torch_private import apply_of, in_forward_mode, same_form
from tidegate.nn.forms import extent, layout, template

if TYPE_CHECKING:
    from tidegate.engines.cpu.repeated_loss import RepeatedLossBack


class LossForm:
    """One form of calls. `same(*tensors)` tells whether a call has it, and `run(tensors)` returns the loss. The tensors
    are x, weight and target, then bias, if there is one; `replay` returns the loss of the same by torch's functions."""

    def __init__(
        self, tensors: Sequence[Tensor], ignore_index: int, *, mean: bool, replay: Callable[[Sequence[Tensor]], Tensor]
    ):
        from tidegate.engines.cpu import boundary, linear_loss, workspace
        from tidegate.engines.cpu.repeated_loss import RepeatedLoss, RepeatedLossBack

        x, weight, _, *bias = tensors
        rows, w = rows_of(x.detach()), weight.detach()
        self.same, self.boundary, self.wrong_target = same_form(tensors), boundary, linear_loss.wrong_target
        self.extents, self.mean, self.replay = [(t.itemsize, extent(t)) for t in tensors], mean, replay
        self.classes, self.ignored, self.loss = len(w), ignore_index, template((), w.dtype)
        self.graph = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
        self.calls = RepeatedLoss(rows, w, ignore_index, biases=bool(bias), keep=self.graph)
        self.empty, self.dtype = workspace.empty, w.dtype
        if self.graph:
            needed = x.requires_grad, weight.requires_grad, bool(bias) and bias[0].requires_grad
            self.needed, self.back = needed, RepeatedLossBack(rows, w, needed)
            self.sizes = x.shape, weight.shape
            scores = self.empty(self.calls.scores, self.dtype)
            self.read = [*self.extents[:2], (scores.itemsize, scores.nbytes)]
            self.kinds = [saved_tensors.kind(t) for t in (*tensors, scores)]
            self.layouts = [layout(t) for t in (*tensors, scores)]
        #: The form of saved tensors and the incoming gradient that the kernel can take.
        self.incoming: Callable[..., bool] | None = None

    def run(self, tensors: tuple[Tensor, ...]) -> Tensor:
        """The loss."""
        return apply(self, *tensors) if self.graph else self.forward(tensors)[0]

    def forward(self, tensors: Sequence[Tensor]) -> tuple[Tensor, Tensor | None, int]:
        """The loss, the gradients of all losses with respect to the scores, if they are needed, and the number of rows
        with a loss."""
        found, scores = self.boundary.addresses(tensors, self.extents), None
        if self.graph:
            scores = self.empty(self.calls.scores, self.dtype)
            found.append(scores.data_ptr())
        total, mean, count, wrong = self.calls.run(found)
        if wrong:
            raise self.wrong_target(tensors[2].reshape(-1), self.classes, self.ignored)
        return torch.empty_like(self.loss).fill_(mean if self.mean else total), scores, count

    def takes(self, saved: Sequence[Tensor], d: Tensor) -> bool:
        """Whether the backward kernel can run for these saved tensors and this gradient of the loss."""
        if torch.is_grad_enabled():
            return False
        if self.incoming is None or in_forward_mode() or not self.incoming(*saved, d):  # a form ignores tangents
            if transforms.refuse_tensors([d]) is not None or [layout(t) for t in saved] != self.layouts:
                return False
            self.incoming = same_form([*saved, d])
        return True

    def backward(self, saved: Sequence[Tensor], d: Tensor, count: int) -> tuple[Tensor | None, ...]:
        """The gradients with respect to the tensors of the call that require one."""
        x, weight, *_, scores = saved
        back: RepeatedLossBack = self.back
        need_x, need_w, need_b = self.needed
        d_x = self.empty(back.d_x, self.dtype) if need_x else None
        d_w = self.empty(self.sizes[1], self.dtype) if need_w else None
        d_b = torch.empty_like(saved[3]) if need_b else None
        words = self.boundary.addresses([x, weight, scores], self.read)
        words += [t.data_ptr() for t in (d_x, d_w, d_b) if t is not None]
        back.run(words, float(d) / max(count, 1) if self.mean else float(d))
        if d_x is not None:
            d_x = d_x[:, : x.shape[-1]].reshape(x.shape) if d_x.shape[1] != x.shape[-1] else d_x.view(x.shape)
        return d_x, d_w, None, d_b

    def replayed(self, saved: Sequence[Tensor], d: Tensor) -> tuple[Tensor | None, ...]:
        """As `backward`, by torch's own operations, in cases that the kernel cannot take."""
        saved_tensors.check(saved, self.kinds)
        return autograd.replayed(lambda tensors: [self.replay(tensors)], tuple(saved[:-1]), (d,))


def rows_of(x: Tensor) -> Tensor:
    """x as rows of features, possibly a copy."""
    return x.reshape(-1, x.shape[-1])


def readable(x: Tensor, weight: Tensor, target: Tensor, *bias: Tensor) -> bool:
    """Whether the kernels can read these tensors as they lie in memory, and a form accepts them: none of them twice."""
    rows = rows_of(x.detach())
    return (
        len({id(t) for t in (x, weight, target, *bias)}) == 3 + len(bias)
        and target.dtype is torch.int64
        and not any(t.is_neg() for t in (x, weight, *bias))
        and all(t.is_contiguous() for t in (weight, target, *bias))
        and rows.data_ptr() == x.data_ptr()
        and (rows.stride(1) == 1 or rows.shape[1] == 1)
    )


class LinearCrossEntropy(torch.autograd.Function):
    """The loss in torch's graph."""

    @staticmethod
    def forward(ctx: Any, form: LossForm, *tensors: Tensor) -> Tensor:
        loss, scores, count = form.forward(tensors)
        ctx.form, ctx.count = form, count
        ctx.save_for_backward(*tensors, scores)
        return loss

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        form, saved = ctx.form, ctx.saved_tensors
        found = form.backward(saved, d, ctx.count) if form.takes(saved, d) else form.replayed(saved, d)
        return None, *found[: len(saved) - 1]


apply = apply_of(LinearCrossEntropy)
