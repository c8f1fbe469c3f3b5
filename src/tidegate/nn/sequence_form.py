"""Forms of calls of several steps: what is the same in all of its calls is looked up once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tidegate.engines import Call, cpu
from tidegate.engines.call import checked_indices
from tidegate.engines.torch_private import apply_of, same_form
from tidegate.nn.forms import BATCH_FIRST, TIME_FIRST, UNBATCHED, Calls, Sizes, template, time_first
from tidegate.nn.graph_pass import Pass, Recurrence, apply
from tidegate.nn.sequence import batch_major


class SequenceForm:
    """One form of calls of a layer, without lengths and resets; `same` and `run` as in `StepForm`."""

    def __init__(self, found: Calls, tensors: list[Tensor], given: int):
        sizes, n = found.sizes, found.directions
        first, count = found.calls[0], len(found.calls)
        self.same, self.given, self.dropout = same_form(tensors), given, found.dropout
        self.axes, self.count, self.many = sizes.axes, count, count > 1
        self.T, self.B, self.classes = first.T, first.B, first.D if first.indexed else 0
        states, weights = tensors[1 : 1 + given], tensors[1 + given :]
        self.weights = len(weights) // count
        starts = self.split(states)
        # The sizes of a pass: those of the caller at both ends, time first in between.
        between = sizes._replace(x=TIME_FIRST, outputs=(first.T, first.B, first.H), axes=TIME_FIRST)
        x, own = (first.x.contiguous(), between) if first.indexed else (tensors[0], between._replace(x=sizes.x))
        if self.many:
            own = own._replace(state=sizes.state[1:])
        self.layers: list[list[SequencePass]] = []
        for k in range(0, count, n):
            last = k + n == count
            if last and n == 1:
                own = own._replace(outputs=sizes.outputs, axes=sizes.axes)
            here = [
                SequencePass(cpu.resolved(found.calls[i]), own, [x, *starts[i], *self.of(weights, i)], given)
                for i in range(k, k + n)
            ]
            self.layers.append(here)
            if not last:
                x = found.calls[k + n].x.requires_grad_(any(p.graph for p in here))
                own = own._replace(x=TIME_FIRST)

    def split(self, states: Sequence[Tensor]) -> list[tuple[Tensor, ...]]:
        """The given states of each layer and direction."""
        if not self.many or not states:
            return [tuple(states)] * self.count
        return list(zip(*[s.unbind(0) for s in states]))

    def of(self, weights: Sequence[Tensor], i: int) -> Sequence[Tensor]:
        """The weights of layer and direction number i."""
        return weights[i * self.weights : (i + 1) * self.weights]

    def run(self, tensors: tuple[Tensor, ...]) -> Any:
        """What the module returns."""
        x, given = tensors[0], self.given
        if self.classes:
            x = time_first(checked_indices(x, self.classes), self.axes, self.T, self.B).contiguous()
        states, weights = tensors[1 : 1 + given], tensors[1 + given :]
        if not self.many:
            y, *finals = self.layers[0][0].run((x, *states, *weights))
            return y, finals[0] if len(finals) == 1 else tuple(finals)
        starts, finals, i, y = self.split(states), [], 0, x
        for k, passes in enumerate(self.layers):
            if k and self.dropout:
                y = F.dropout(y, self.dropout)
            found = []
            for own in passes:
                found.append(own.run((y, *starts[i], *self.of(weights, i))))
                i += 1
            y = found[0][0] if len(found) == 1 else torch.cat([results[0] for results in found], -1)
            finals += [results[1:] for results in found]
        if len(self.layers[0]) == 2:
            y = y.squeeze(1) if self.axes == UNBATCHED else batch_major(y) if self.axes == BATCH_FIRST else y
        final = tuple([torch.stack(own) for own in zip(*finals)])
        return y, final[0] if len(final) == 1 else final


class SequencePass(Pass):
    """One layer and direction in calls of one form, with a gradient or without."""

    def __init__(self, call: Call, sizes: Sizes, tensors: list[Tensor], given: int):
        from tidegate.engines.cpu import workspace
        from tidegate.engines.cpu.repeated import Steps

        super().__init__(call, sizes, tensors, given)
        shape, (T, B, H) = self.shape, (call.T, call.B, call.H)
        self.graph = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
        self.empty: Callable[..., Tensor] = workspace.empty
        self.apply = apply if shape.stored is not None else apply_shared
        self.calls = Steps(shape, self.absent, self.rows | self.x, save=self.graph)
        # The outputs are the sequence of the first state but one step, unless they have another type.
        self.first, self.storage = (T + 1, B, H), call.weights.w_hh.dtype
        self.offset = 0 if shape.reverse or shape.stored is not None else B * H
        self.none = template((0,), self.storage)
        #: The sizes and strides of the outputs.
        self.y = {
            TIME_FIRST: ((T, B, H), (B * H, H, 1)),
            BATCH_FIRST: ((B, T, H), (H, B * H, 1)),
            UNBATCHED: ((T, H), (H, 1)),
        }[sizes.axes]
        if self.graph:
            if self.new[0] is not None:
                self.new[0] = self.new_x
            self.saves(tensors, [self.empty(self.first, shape.arithmetic), self.new_kept()])

    def run(self, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The outputs and the new states."""
        return self.apply(self, *tensors) if self.graph else self.forward(tensors)[0]

    def forward(self, tensors: Sequence[Tensor]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        shape, found = self.shape, self.boundary.addresses(tensors, self.extents)
        if self.zeros:
            found[1:1] = self.zeros
        states = tuple([torch.empty_like(self.state) for _ in self.names])
        found += [s.data_ptr() for s in states]
        first = self.empty(self.first, shape.arithmetic)
        on = first if shape.stored is None else self.empty((shape.T, shape.B, shape.H), self.storage)
        y = self.none.new_empty(0).set_(on.untyped_storage(), self.offset, *self.y)
        if not self.graph:
            self.calls.run(found, first.data_ptr(), y.data_ptr())
            return (y, *states), ()
        kept = self.new_kept()
        self.calls.run(found, first.data_ptr(), y.data_ptr(), kept.data_ptr())
        return (y, *states), (first, kept)

    def new_kept(self) -> Tensor:
        return self.empty((self.calls.bytes_saved,), torch.uint8)

    def memory(self, saved: Sequence[Tensor]) -> tuple[int, int]:
        first, kept = saved[-2:]
        return self.boundary.address(first), self.boundary.address(kept)

    def new_x(self, x: Tensor) -> Tensor:
        """A gradient of x, in memory as the kernel writes it: time first."""
        made = self.empty((self.shape.T, self.shape.B, self.shape.D), x.dtype)
        return made.transpose_(0, 1) if self.sizes.x == BATCH_FIRST else made.view(x.shape)


class SharedRecurrence(Recurrence):
    """A pass whose outputs share memory with what it saves. If the caller changes them, it is computed again."""

    @staticmethod
    def forward(ctx: Any, own: Pass, *tensors: Tensor) -> tuple[Tensor, ...]:
        results = Recurrence.forward(ctx, own, *tensors)
        ctx.outputs = results[0].detach()
        ctx.version = ctx.outputs._version
        return results

    @staticmethod
    def backward(ctx: Any, *d: Tensor | None) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        own, saved = ctx.own, ctx.saved_tensors
        if not own.takes(saved, d):
            return None, *own.replayed(saved, d)
        if ctx.outputs._version != ctx.version:
            tensors = saved[: len(own.new)]
            saved = *tensors, *own.forward(tensors)[1]
        return None, *own.backward(saved, d)


apply_shared = apply_of(SharedRecurrence)
