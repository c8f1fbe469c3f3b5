"""One form of calls of one step: what is the same in all of its calls is looked up once."""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tidegate.engines import Call
from tidegate.engines.torch_private import same_form


class Steps(NamedTuple):
    """A call of one step as the general route sees it: that of each layer, and the sizes of what the module returns
    (no outputs for a cell)."""

    calls: list[Call]
    outputs: tuple[int, ...] | None
    state: tuple[int, ...]


class StepForm:
    """One form of calls. `same(*tensors)` tells whether a call has it, and `run(tensors)` returns what the module does;
    the tensors are x, the states, if any are given, and the weights layer by layer."""

    def __init__(self, steps: Steps, tensors: list[Tensor], given: int):
        from tidegate.engines.cpu.boundary import addresses
        from tidegate.engines.cpu.launch import shape_of, zero_row
        from tidegate.engines.cpu.one_step import OneStep

        first = steps.calls[0]
        w, states, names = first.weights, tensors[1 : 1 + given], first.step.state
        self.same, self.addresses = same_form(tensors), addresses
        self.extents = [(t.itemsize, extent(t)) for t in tensors]
        self.classes = first.D if first.indexed else 0
        self.indices = ctypes.c_int64 * first.B
        self.zeros = [] if given else [zero_row(w.w_hh.dtype, first.H).data_ptr()] * len(names)
        self.names, self.weights = names, (len(tensors) - 1 - given) // len(steps.calls)
        self.state = torch.empty(steps.state, dtype=w.w_hh.dtype, device="cpu")
        self.outputs = None if steps.outputs is None else torch.empty(steps.outputs, dtype=w.w_hh.dtype, device="cpu")
        # From layer to layer: the bytes of a new state, and the strides in bytes of the states that are given.
        self.layer = first.B * first.H * w.w_hh.itemsize
        self.strides = [s.stride(0) * s.itemsize for s in states] or [0] * len(names)
        absent = [name for name, t in {"b_ih": w.b_ih, "b_hh": w.b_hh, "v": w.vectors}.items() if t is None]
        rows = {f"start_b.{name}": s.stride(-2) if s.dim() > 1 else 0 for name, s in zip(names, states)}
        self.steps = [
            OneStep(shape_of(call), [*absent, "x" if call.indexed else "index"], rows | {"x_b": x_b})
            for call, x_b in zip(steps.calls, [first.x.stride(1), *[first.H] * len(steps.calls)])
        ]

    def run(self, tensors: tuple[Tensor, ...]) -> Any:
        """What the module returns; None for class indices out of range, which the general route reports."""
        found = self.addresses(tensors, self.extents)
        if self.classes:
            indices = self.indices.from_address(found[0])
            if min(indices) < 0 or max(indices) >= self.classes:
                return None
        if self.zeros:
            found[1:1] = self.zeros
        states = [torch.empty_like(self.state) for _ in self.names]
        found += [s.data_ptr() for s in states]
        outputs = None if self.outputs is None else torch.empty_like(self.outputs)
        if len(self.steps) == 1:
            self.steps[0].run(found, 0 if outputs is None else outputs.data_ptr())
        else:
            self.run_layers(found, outputs)
        state = states[0] if len(states) == 1 else tuple(states)
        return state if outputs is None else (outputs, state)

    def run_layers(self, found: list[int], outputs: Tensor | None) -> None:
        """Run one layer after the other, given the addresses of x, states, weights and new states of all of them."""
        count, last = len(self.names), self.steps[-1]
        x, starts, weights, finals = found[0], found[1 : 1 + count], found[1 + count : -count], found[-count:]
        for k, step in enumerate(self.steps):
            own = weights[k * self.weights : (k + 1) * self.weights]
            step.run([x, *starts, *own, *finals], outputs.data_ptr() if step is last and outputs is not None else 0)
            x = finals[0]
            starts = [address + stride for address, stride in zip(starts, self.strides)]
            finals = [address + self.layer for address in finals]


def extent(t: Tensor) -> int:
    """The bytes from the first number of `t` to the end of its last; t is not empty."""
    return t.itemsize * (1 + sum((n - 1) * s for n, s in zip(t.shape, t.stride())))
