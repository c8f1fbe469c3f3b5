"""A linear layer with cross-entropy on the CPU kernels: the losses of all rows, and the gradients of their sum."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache as once
from functools import lru_cache
from math import nan
from time import perf_counter

import torch
from torch import Tensor

from tidegate.engines.cpu import kernels, runtime, team, workspace
from tidegate.engines.cpu.abi import APART
from tidegate.engines.cpu.boundary import address, rows, whole
from tidegate.engines.cpu.kernels import Kernel, Once, function_of, shared
from tidegate.engines.cpu.key import key
from tidegate.engines.cpu.launch import zero_row
from tidegate.engines.cpu.launch_plan import REAL, SMALL_CALL
from tidegate.engines.cpu.linear_loss_abi import GRADIENT_ARGUMENTS, GRADIENTS, LOSS, LOSS_ARGUMENTS
from tidegate.engines.cpu.pace import Pace
from tidegate.engines.cpu.target import Target
from tidegate.errors import IndicesError

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
    """`total`, the sum of the losses (a number of the tensors' type); `losses` (B,); `d` (B, P), the gradients of each
    row's loss with respect to its scores, None if they are not kept; `count`, the number of rows that are not
    ignored."""

    total: float
    losses: Tensor
    d: Tensor | None
    count: int

    @property
    def mean(self) -> float:
        """The mean over the rows that are not ignored, rounded to the tensors' type; NaN if there are none."""
        return NUMBER[self.losses.dtype](self.total / self.count).value if self.count else nan


def losses(x: Tensor, w: Tensor, b: Tensor | None, target: Tensor, ignored: int, *, keep: bool) -> Losses:
    """The losses of the rows of x (B, H) with weights w (V, H), biases b (V,) and targets (B,), int64. Raises
    IndicesError for a target that is neither a class nor `ignored`."""
    form = form_of(x, w)
    (B, H), V, L, dtype = x.shape, len(w), form.lanes, w.dtype
    x, w, target = rows(x), whole(w), whole(target)
    b = zero_row(dtype, V) if b is None else whole(b)
    groups, threads = -(-V // L), form.pace.threads()
    losses = torch.empty(B, dtype=dtype, device="cpu")
    d = workspace.empty((B if keep else threads * TOGETHER, groups * L), dtype)
    scratch = workspace.take((groups * L * (H + 1)) * w.itemsize)
    counted, total = (ctypes.c_int64 * (threads * APART))(), (NUMBER[dtype] * L)()
    form.run(form.loss, scratch, threads, {
        "x": address(x), "x_b": x.stride(0), "w": address(w), "b": address(b), "target": address(target),
        "ignored": ignored, "keep": int(keep), "rows": TOGETHER, "d": d.data_ptr(), "losses": losses.data_ptr(),
        "total": ctypes.addressof(total), "counted": ctypes.addressof(counted), "packed_w": scratch.address,
        "packed_b": scratch.address + groups * L * H * w.itemsize,
    })  # fmt: skip
    if any(counted[1::APART]):
        low, high = map(int, torch.aminmax(target[target != ignored]))
        raise IndicesError(
            f"`target` must be class indices in 0..{V - 1} (weight has V = {V} rows) or `ignore_index` = {ignored}, "
            f"got {low}..{high}."
        )
    return Losses(total[0], losses, d if keep else None, sum(counted[0::APART]))


def gradients(
    x: Tensor, w: Tensor, d: Tensor, scale: float, *, need_x: bool, need_w: bool, need_b: bool
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The gradients of the sum of the losses times `scale` with respect to x, w and the biases."""
    form = form_of(x, w)
    (B, H), V, L, dtype = x.shape, len(w), form.lanes, w.dtype
    x, w, factor = rows(x), whole(w), NUMBER[dtype](scale)
    inputs, classes, summed = -(-H // L) * L, d.shape[1], min(B, SUMMED)
    d_x = workspace.empty((B, inputs), dtype) if need_x else None
    d_w = torch.empty((V, inputs), dtype=dtype, device="cpu") if need_w else None
    d_b = torch.empty(classes, dtype=dtype, device="cpu") if need_b else None
    scratch = workspace.take(inputs * (V + summed) * w.itemsize)
    form.run(form.gradients, scratch, form.pace.threads(), {
        "x": address(x), "x_b": x.stride(0), "w": address(w), "d": address(d), "scale": ctypes.addressof(factor),
        "rows": summed, "packed_w": scratch.address, "right": scratch.address + inputs * V * w.itemsize,
        "d_x": address(d_x), "d_w": address(d_w), "d_b": address(d_b),
    })  # fmt: skip
    return (
        d_x if d_x is None or inputs == H else d_x[:, :H],
        d_w if d_w is None or inputs == H else d_w[:, :H].contiguous(),
        d_b if d_b is None or classes == V else d_b[:V].clone(),
    )


@dataclass(frozen=True, eq=False)
class Form:
    """What all calls with the same sizes and number type share: both kernels with the arguments that are always the
    same, and the number of threads."""

    loss: Prepared
    gradients: Prepared
    pace: Pace
    lanes: int

    def run(self, prepared: Prepared, scratch: workspace.Memory, threads: int, words: Mapping[str, int]) -> None:
        """Run a kernel with these arguments besides those that are always the same; the scratch memory is given
        back."""
        array = type(prepared.template).from_buffer_copy(prepared.template)
        at = prepared.at
        for name, word in words.items():
            array[at[name]] = word
        array[at["barriers"]] = ctypes.addressof(array) + 8 * len(at)
        try:
            started = perf_counter()
            prepared.kernel(array, threads)
            self.pace.took(threads, perf_counter() - started)
        finally:
            workspace.give_back(scratch)


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
    def program() -> str:
        from tidegate.engines.cpu import linear_loss_kernel
        from tidegate.engines.cpu.vector import Code

        code = Code(target, real)
        linear_loss_kernel.emit(code)
        return str(code.module)

    made = runtime.object_code(key(target, real, LOSS), program, target)
    library = runtime.Library(made, target, {**shared(target, real)[1], **team.symbols()})
    return function_of(library, LOSS, list(LOSS_ARGUMENTS), target.lanes(real))


@once
def gradient_kernel(loss: Kernel) -> Kernel:
    """The other kernel of the same library."""
    return function_of(loss.library, GRADIENTS, list(GRADIENT_ARGUMENTS), loss.lanes)
