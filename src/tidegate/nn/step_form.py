"""Forms of calls of one step: what is the same in all of its calls is looked up once."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tidegate.engines.torch_private import same_form
from tidegate.nn.forms import Calls, extent, template
from tidegate.nn.graph_pass import Pass, apply


class StepForm:
    """One form of calls. `same(*tensors)` tells whether a call has it, and `run(tensors)` returns what the module does;
    the tensors are x, the states, if any are given, and the weights layer by layer."""

    def __init__(self, found: Calls, tensors: list[Tensor], given: int):
        from tidegate.engines.cpu.boundary import addresses
        from tidegate.engines.cpu.launch import shape_of, zero_row
        from tidegate.engines.cpu.repeated import OneStep

        calls, sizes = found.calls, found.sizes
        first = calls[0]
        w, states, names = first.weights, tensors[1 : 1 + given], first.step.state
        self.same, self.addresses = same_form(tensors), addresses
        self.extents = [(t.itemsize, extent(t)) for t in tensors]
        self.classes = first.D if first.indexed else 0
        self.indices = ctypes.c_int64 * first.B
        self.zeros = [] if given else [zero_row(w.w_hh.dtype, first.H).data_ptr()] * len(names)
        self.names, self.weights = names, (len(tensors) - 1 - given) // len(calls)
        self.state = template(sizes.state, w.w_hh.dtype)
        self.outputs = None if sizes.outputs is None else template(sizes.outputs, w.w_hh.dtype)
        # From layer to layer: the bytes of a new state, and the strides in bytes of the states that are given.
        self.layer = first.B * first.H * w.w_hh.itemsize
        self.strides = [s.stride(0) * s.itemsize for s in states] or [0] * len(names)
        absent = [name for name, t in {"b_ih": w.b_ih, "b_hh": w.b_hh, "v": w.vectors}.items() if t is None]
        rows = {f"start_b.{name}": s.stride(-2) if s.dim() > 1 else 0 for name, s in zip(names, states)}
        self.steps = [
            OneStep(shape_of(call), [*absent, "x" if call.indexed else "index"], rows | {"x_b": x_b})
            for call, x_b in zip(calls, [first.x.stride(1), *[first.H] * len(calls)])
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


class StepPass(Pass):
    """One form of calls of one layer or cell that require a gradient; `same` and `run` as in `StepForm`."""

    def __init__(self, found: Calls, tensors: list[Tensor], given: int):
        from tidegate.engines.cpu.repeated import OneStep

        (call,) = found.calls
        super().__init__(call, found.sizes, tensors, given)
        self.same = same_form(tensors)
        self.outputs = found.sizes.outputs
        self.calls = OneStep(self.shape, self.absent, self.rows | self.x, save=True)
        self.others = self.calls.plan.kept.size
        self.kept = template((self.calls.bytes_saved,), torch.uint8)
        self.saves(tensors, [self.kept])

    def run(self, tensors: tuple[Tensor, ...]) -> Any:
        """What the module returns."""
        found = apply(self, *tensors)
        states = found if self.outputs is None else found[1:]
        state = states[0] if len(states) == 1 else states
        return state if self.outputs is None else (found[0], state)

    def forward(self, tensors: Sequence[Tensor]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        found = self.boundary.addresses(tensors, self.extents)
        if self.zeros:
            found[1:1] = self.zeros
        states = tuple([torch.empty_like(self.state) for _ in self.names])
        kept = torch.empty_like(self.kept)
        self.calls.run_and_save([*found, *[s.data_ptr() for s in states]], kept.data_ptr())
        return (states if self.outputs is None else (states[0].view(self.outputs).clone(), *states)), (kept,)

    def memory(self, saved: Sequence[Tensor]) -> tuple[int, int]:
        kept = self.boundary.address(saved[-1])
        return kept + self.others, kept
