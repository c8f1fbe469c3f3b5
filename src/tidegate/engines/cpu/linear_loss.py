"""A linear layer with cross-entropy on the CPU kernels: the losses of all rows, and the gradients of their sum."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache as once
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from tidegate.engines.cpu import kernels, team, workspace
from tidegate.engines.cpu.abi import APART
from tidegate.engines.cpu.boundary import address, rows, whole
from tidegate.engines.cpu.kernel_call import KernelCall
from tidegate.engines.cpu.kernels import Kernel, Once, function_of, library_of, shared
from tidegate.engines.cpu.launch import zero_row
from tidegate.engines.cpu.launch_plan import REAL, SMALL_CALL, LaunchPlan
from tidegate.engines.cpu.linear_loss_abi import GRADIENT_ARGUMENTS, GRADIENTS, LOSS, LOSS_ARGUMENTS
from tidegate.engines.cpu.pace import Pace
from tidegate.engines.cpu.target import Target
from tidegate.errors import IndicesError

if TYPE_CHECKING:
    from tidegate.engines.cpu.vector import Code

#: Rows whose scores are computed together, so that their softmax finds them in the cache.
TOGETHER = 32
#: Rows over which a gradient of the weights is summed at once.
SUMMED = 384
#: The number types of sums and factors.
NUMBER = {torch.float32: ctypes.c_float, torch.float64: ctypes.c_double}
#: 64-bit words of the barriers: one counter for all threads, one for the threads of a team, which are not used.
BARRIERS = 2 * APART


@dataclass(frozen=True)
class Losses:
    """`total`, the sum of the losses, and `mean`, that over the rows that are not ignored (NaN if there are none):
    numbers of the tensors' type; `losses` (B,); `d` (B, P), the gradients of each row's loss with respect to its
    scores, None if they are not kept; `count`, the number of rows that are not ignored."""

    total: float
    mean: float
    losses: Tensor
    d: Tensor | None
    count: int


def losses(x: Tensor, w: Tensor, b: Tensor | None, target: Tensor, ignored: int, *, keep: bool) -> Losses:
    """The losses of the rows of x (B, H) with weights w (V, H), biases b (V,) and targets (B,), int64. Raises
    IndicesError for a target that is neither a class nor `ignored`."""
    call = LossCall.of(x, w, b, target, ignored, keep=keep)
    call.kernel_call.run()
    count, wrong = call.found
    if wrong:
        raise wrong_target(target, len(w), ignored)
    return Losses(call.total[0], call.mean.value, call.losses, call.d if keep else None, count)


def wrong_target(target: Tensor, V: int, ignored: int) -> IndicesError:
    """The error for targets that are neither one of V classes nor `ignored`."""
    low, high = map(int, torch.aminmax(target[target != ignored]))
    return IndicesError(
        f"`target` must be class indices in 0..{V - 1} (weight has V = {V} rows) or `ignore_index` = {ignored}, "
        f"got {low}..{high}."
    )


def gradients(
    x: Tensor, w: Tensor, d: Tensor, scale: float, *, need_x: bool, need_w: bool, need_b: bool
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The gradients of the sum of the losses times `scale` with respect to x, w and the biases."""
    call = GradientCall.of(x, w, d, NUMBER[w.dtype](scale), need_x=need_x, need_w=need_w, need_b=need_b)
    call.kernel_call.run()
    return call.gradients


class LossCall(NamedTuple):
    """A call of the kernel of the losses, and where it leaves its results, named as in LOSS_ARGUMENTS."""

    kernel_call: KernelCall
    losses: Tensor
    d: Tensor
    found: ctypes.Array
    total: ctypes.Array
    mean: Any
    share: Any

    @classmethod
    def of(cls, x: Tensor, w: Tensor, b: Tensor | None, target: Tensor, ignored: int, *, keep: bool) -> LossCall:
        """The arguments are those of `losses`."""
        form = form_of(x, w)
        B, V, L, dtype = len(x), len(w), form.lanes, w.dtype
        x, w, target = rows(x), whole(w), whole(target)
        b = zero_row(dtype, V) if b is None else whole(b)
        groups, threads = -(-V // L), form.pace.team
        losses = torch.empty(B, dtype=dtype, device="cpu")
        d = workspace.empty((B if keep else threads * TOGETHER, groups * L), dtype)
        found, total = (ctypes.c_int64 * 2)(), (NUMBER[dtype] * L)()
        mean, share = NUMBER[dtype](), NUMBER[dtype]()
        scratch = form.loss_scratch(w)
        words = {
            "x": address(x), "x_b": x.stride(0), "w": address(w), "b": address(b), "target": address(target),
            "ignored": ignored, "keep": int(keep), "rows": TOGETHER, "d": d.data_ptr(), "losses": losses.data_ptr(),
            "total": ctypes.addressof(total), "found": ctypes.addressof(found), "mean": ctypes.addressof(mean),
            "share": ctypes.addressof(share),
        }  # fmt: skip
        call = form.loss.call(form.pace, words, scratch, (x, w, b, target))
        return cls(call, losses, d, found, total, mean, share)


class GradientCall(NamedTuple):
    """A call of the kernel of the gradients, and the tensors (x, w, biases) to which it writes them."""

    kernel_call: KernelCall
    gradients: tuple[Tensor | None, Tensor | None, Tensor | None]

    @classmethod
    def of(
        cls, x: Tensor, w: Tensor, d: Tensor, scale: Any, *, need_x: bool, need_w: bool, need_b: bool
    ) -> GradientCall:
        """The arguments are those of `gradients`, but for the scale: a number in memory, which the kernel reads."""
        form = form_of(x, w)
        (B, H), V, L, dtype = x.shape, len(w), form.lanes, w.dtype
        x, w, d = rows(x), whole(w), whole(d)
        inputs, summed = -(-H // L) * L, min(B, SUMMED)
        d_x = workspace.empty((B, inputs), dtype) if need_x else None
        d_w = workspace.empty((V, H), dtype) if need_w else None
        d_b = torch.empty(V, dtype=dtype, device="cpu") if need_b else None
        scratch = form.gradients_scratch(w, summed)
        words = {
            "x": address(x), "x_b": x.stride(0), "w": address(w), "d": address(d), "scale": ctypes.addressof(scale),
            "rows": summed, "d_x": address(d_x), "d_w": address(d_w), "d_b": address(d_b),
        }  # fmt: skip
        if inputs == H:
            words["sum_w"] = address(d_w)
        call = form.gradients.call(form.pace, words, scratch, (x, w, d, scale))
        return cls(call, (d_x if d_x is None or inputs == H else d_x[:, :H], d_w, d_b))


@dataclass(frozen=True, eq=False)
class Form:
    """What all calls with the same sizes and number type share: both kernels with the arguments that are always the
    same, and the number of threads."""

    loss: Prepared
    gradients: Prepared
    pace: Pace
    lanes: int

    def loss_scratch(self, w: Tensor) -> workspace.Layout:
        """The scratch memory of the losses."""
        (V, H), L, scratch = w.shape, self.lanes, workspace.Layout(w.itemsize)
        groups = -(-V // L)
        scratch.add("counted", self.pace.team * APART * 8 // w.itemsize)
        scratch.add("packed_w", groups * L * H)
        scratch.add("packed_b", groups * L)
        return scratch

    def gradients_scratch(self, w: Tensor, summed: int) -> workspace.Layout:
        """The scratch memory of the gradients, of which those of the weights are summed over so many rows at once."""
        (V, H), L, scratch = w.shape, self.lanes, workspace.Layout(w.itemsize)
        inputs = -(-H // L) * L
        scratch.add("packed_w", inputs * V)
        scratch.add("right", inputs * summed)
        scratch.add("sum_b", -(-V // L) * L)
        if inputs != H:
            scratch.add("sum_w", V * inputs)
        return scratch


@dataclass(frozen=True, eq=False)
class Prepared:
    """A kernel, the index of each argument, and the arguments that are always the same, followed by the barriers."""

    kernel: Kernel
    at: Mapping[str, int]
    template: ctypes.Array

    @classmethod
    def of(cls, kernel: Kernel, sizes: Mapping[str, int]) -> Prepared:
        at = {name: i for i, name in enumerate(kernel.arguments)}
        template = (ctypes.c_int64 * (len(at) + BARRIERS))()
        for name, size in sizes.items():
            template[at[name]] = size
        return cls(kernel, at, template)

    def plan(self, pace: Pace, scratch: workspace.Layout) -> LaunchPlan:
        """A launch plan with this scratch memory, for repeated calls."""
        template = type(self.template).from_buffer_copy(self.template)
        template[self.at["barriers"]] = 8 * len(self.at)
        none = workspace.Layout(scratch.item)
        return LaunchPlan(self.kernel, pace, scratch, none, none, None, self.at, template)

    def call(self, pace: Pace, words: Mapping[str, int], scratch: workspace.Layout, alive: object) -> KernelCall:
        """A call with these arguments besides those that are always the same."""

        def filled(base: int) -> ctypes.Array:
            array, at = type(self.template).from_buffer_copy(self.template), self.at
            for name, word in words.items():
                array[at[name]] = word
            for name, offset in scratch.offset.items():
                array[at[name]] = base + offset
            array[at["barriers"]] = ctypes.addressof(array) + 8 * len(at)
            return array

        return KernelCall(self.kernel, pace, scratch.size, filled, alive)


def form_of(x: Tensor, w: Tensor) -> Form:
    (B, H), V = x.shape, len(w)
    return _form(B, H, V, w.dtype, team.threads(), kernels.here())


@lru_cache(maxsize=512)
def _form(B: int, H: int, V: int, dtype: torch.dtype, threads: int, target: Target) -> Form:
    loss = loss_kernel(target, REAL[dtype])
    sizes = {"B": B, "H": H, "V": V, "row_teams": 1}
    pace = Pace(1 if B * H * V < SMALL_CALL else threads)
    return Form(Prepared.of(loss, sizes), Prepared.of(gradient_kernel(loss), sizes), pace, loss.lanes)


@Once
def loss_kernel(target: Target, real: str) -> Kernel:
    def emit(code: Code) -> None:
        from tidegate.engines.cpu import linear_loss_kernel

        linear_loss_kernel.emit(code)

    library = library_of(target, real, LOSS, emit, {**shared(target, real)[1], **team.symbols()})
    return function_of(library, LOSS, list(LOSS_ARGUMENTS), target.lanes(real))


@once
def gradient_kernel(loss: Kernel) -> Kernel:
    """The other kernel of the same library."""
    return function_of(loss.library, GRADIENTS, list(GRADIENT_ARGUMENTS), loss.lanes)
