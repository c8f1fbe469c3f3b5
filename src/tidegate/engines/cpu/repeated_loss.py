"""Repeated calls of a linear layer with cross-entropy: as `linear_loss`, with arguments that are filled in once."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from torch import Tensor

from tidegate.engines.cpu.launch import zero_row
from tidegate.engines.cpu.linear_loss import NUMBER, SUMMED, TOGETHER, form_of
from tidegate.engines.cpu.repeated import Filled
from tidegate.engines.cpu.workspace import Layout


class RepeatedLoss(Filled):
    """Losses of rows x (B, H) with weights w (V, H). biases: whether there are some. With `keep` the caller gives
    memory for their gradients with respect to the scores, of the size `scores`."""

    def __init__(self, x: Tensor, w: Tensor, ignored: int, *, biases: bool, keep: bool):
        form, B, V, self.number = form_of(x, w), len(x), len(w), NUMBER[w.dtype]
        L, own, results = form.lanes, Layout(w.itemsize), Layout(w.itemsize)
        padded = -(-V // L) * L
        self.scores = B, padded
        own.add("losses", B)
        if not keep:
            own.add("d", form.pace.team * TOGETHER * padded)
        for name, count in {"total": L, "mean": 1, "share": 1, "found": 16 // w.itemsize}.items():
            results.add(name, count)
        fixed = {"x_b": x.stride(0), "ignored": ignored, "keep": int(keep), "rows": TOGETHER}
        if not biases:
            fixed["b"] = zero_row(w.dtype, V).data_ptr()
        super().__init__(form.loss.plan(form.pace, form.loss_scratch(w)), fixed, own, results)
        names = ("x", "w", "target", *["b"] * biases, *["d"] * keep)
        self.slots = [self.plan.at[name] for name in names]

    def run(self, addresses: Sequence[int]) -> tuple[float, float, int, int]:
        """addresses: those of x, w, the targets, then the biases if there are some, and the memory for the gradients
        with respect to the scores if it is kept. Returns the sum of the losses, their mean, and the numbers of rows
        with a loss and of those with a wrong target."""
        memory = self.take()
        for i, address in zip(self.slots, addresses, strict=True):
            memory.array[i] = address
        self.call(memory)
        at, number = {name: memory.results + offset for name, offset in self.results.offset.items()}, self.number
        count, wrong = (ctypes.c_int64 * 2).from_address(at["found"])
        found = number.from_address(at["total"]).value, number.from_address(at["mean"]).value, count, wrong
        self.free.append(memory)
        return found


class RepeatedLossBack(Filled):
    """The gradients of calls of `RepeatedLoss`, for those of x, w and the biases that are needed."""

    def __init__(self, x: Tensor, w: Tensor, needed: tuple[bool, bool, bool]):
        form, (B, H), results = form_of(x, w), x.shape, Layout(w.itemsize)
        inputs, summed = -(-H // form.lanes) * form.lanes, min(B, SUMMED)
        results.add("scale", 1)
        plan = form.gradients.plan(form.pace, form.gradients_scratch(w, summed))
        super().__init__(plan, {"x_b": x.stride(0), "rows": summed}, Layout(w.itemsize), results)
        at = self.plan.at
        self.number, self.scale = NUMBER[w.dtype], results.offset["scale"]
        #: The sizes of the gradient of x in memory.
        self.d_x = B, inputs
        self.slots = [at[name] for name in ("x", "w", "d")]
        self.slots += [at[name] for name, need in zip(("d_x", "d_w", "d_b"), needed) if need]
        #: Whether the address of the gradient of w is also that of its sum.
        self.sum_w = at["sum_w"] if inputs == H and needed[1] else None
        self.at_w = at["d_w"]

    def run(self, addresses: Sequence[int], scale: float) -> None:
        """addresses: those of x, w, the gradients with respect to the scores, and the gradients that are needed."""
        memory = self.take()
        array = memory.array
        for i, address in zip(self.slots, addresses, strict=True):
            array[i] = address
        if self.sum_w is not None:
            array[self.sum_w] = array[self.at_w]
        self.number.from_address(memory.results + self.scale).value = scale
        self.start(memory)
