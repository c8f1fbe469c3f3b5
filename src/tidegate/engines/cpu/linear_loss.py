"""A linear layer with cross-entropy on the CPU kernels: the losses of all rows, and the gradients of their sum."""

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache as once
from functools import lru_cache
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
#: 64-bit words of the barriers: one counter for all threads, one for the threads of a team, which are not used.
BARRIERS = 2 * APART


@dataclass(frozen=True)
class Losses:
    """`losses` (B,); `d` (B, P), the gradients of each row's loss with respect to its scores, None if they are not
    kept; `count`, the number of rows that are not ignored."""

    losses: Tensor
    d: Tensor | None
    count: int


def losses(x: Tensor, w: Tensor, b: Tensor | None, target: Tensor, ignored: int, *, keep: bool) -> Losses:
    """The losses of the rows of x (B, H) with weights w (V, H), biases b (V,) and targets (B,), int64. Raises
    IndicesError for a target that is neither a class nor `ignored`."""
    form = form_of(x, w)
    (B, H), V, L = x.shape, len(w), form.loss.lanes
    x, w, target = rows(x), whole(w), whole(target)
    b = zero_row(w.dtype, V) if b is None else whole(b)
    groups, threads = -(-V // L), form.pace.threads()
    losses = torch.empty(B, dtype=w.dtype)
    d = workspace.empty((B if keep else threads * TOGETHER, groups * L), w.dtype)
    scratch = workspace.take((groups * L * (H + 1)) * w.itemsize)
    counted = (ctypes.c_int64 * (threads * APART))()
    words = form.words(x) | {
        "w": address(w), "b": address(b), "target": address(target), "ignored": ignored, "keep": int(keep),
        "rows": TOGETHER, "d": d.data_ptr(), "losses": losses.data_ptr(), "counted": ctypes.addressof(counted),
        "packed_w": scratch.address, "packed_b": scratch.address + groups * L * H * w.itemsize,
    }  # fmt: skip
    form.run(form.loss, words, scratch, threads)
    if sum(counted[1::APART]):
        low, high = map(int, torch.aminmax(target[target != ignored]))
        raise IndicesError(
            f"`target` must be class indices in 0..{V - 1} (weight has V = {V} rows) or `ignore_index` = {ignored}, "
            f"got {low}..{high}."
        )
    return Losses(losses, d if keep else None, sum(counted[0::APART]))


def gradients(
    x: Tensor, w: Tensor, d: Tensor, scale: Tensor, *, need_x: bool, need_w: bool, need_b: bool
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The gradients of the sum of the losses times `scale`, one number, with respect to x, w and the biases."""
    form = form_of(x, w)
    (B, H), V, L = x.shape, len(w), form.loss.lanes
    x, w, scale = rows(x), whole(w), whole(scale)
    inputs, classes, summed = -(-H // L) * L, d.shape[1], min(B, SUMMED)
    d_x = workspace.empty((B, inputs), w.dtype) if need_x else None
    d_w = torch.empty((V, inputs), dtype=w.dtype) if need_w else None
    d_b = torch.empty(classes, dtype=w.dtype) if need_b else None
    scratch = workspace.take(inputs * (V + summed) * w.itemsize)
    words = form.words(x) | {
        "w": address(w), "d": address(d), "scale": address(scale), "rows": summed,
        "packed_w": scratch.address, "right": scratch.address + inputs * V * w.itemsize,
        "d_x": address(d_x), "d_w": address(d_w), "d_b": address(d_b),
    }  # fmt: skip
    form.run(form.gradients, words, scratch, form.pace.threads())
    return (
        d_x if d_x is None or inputs == H else d_x[:, :H],
        d_w if d_w is None or inputs == H else d_w[:, :H].contiguous(),
        d_b if d_b is None or classes == V else d_b[:V].clone(),
    )


@dataclass(frozen=True, eq=False)
class Form:
    """What all calls with the same sizes and number type share: both kernels, and the number of threads."""

    loss: Kernel
    gradients: Kernel
    pace: Pace
    sizes: Mapping[str, int]

    def words(self, x: Tensor) -> dict[str, int]:
        return {**self.sizes, "x": address(x), "x_b": x.stride(0)}

    def run(self, kernel: Kernel, words: Mapping[str, int], scratch: workspace.Memory, threads: int) -> None:
        """Run a kernel with these arguments; the scratch memory is given back."""
        names = kernel.arguments
        array = (ctypes.c_int64 * (len(names) + BARRIERS))(*[words.get(name, 0) for name in names])
        array[names.index("barriers")] = ctypes.addressof(array) + 8 * len(names)
        try:
            started = perf_counter()
            kernel(array, threads)
            self.pace.took(threads, perf_counter() - started)
        finally:
            workspace.give_back(scratch)


def form_of(x: Tensor, w: Tensor) -> Form:
    return _form(*map(int, x.shape), len(w), w.dtype, team.threads(), kernels.here())


@lru_cache(maxsize=512)
def _form(B: int, H: int, V: int, dtype: torch.dtype, threads: int, target: Target) -> Form:
    loss = loss_kernel(target, REAL[dtype])
    threads = 1 if B * H * V < SMALL_CALL else threads
    return Form(loss, gradient_kernel(loss), Pace(threads), {"B": B, "H": H, "V": V, "row_teams": 1})


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
