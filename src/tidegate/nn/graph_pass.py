"""Calls of one form that require a gradient: each layer and direction is one node of torch's graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tidegate.engines import Call, Weights, autograd, saved_tensors
from tidegate.engines.torch_private import apply_of, in_forward_mode, same_form
from tidegate.nn.forms import BATCH_FIRST, Sizes, extent, layout, template, time_first

if TYPE_CHECKING:
    from tidegate.engines.cpu.repeated import Back


#: The arguments for the weights of a layer.
WEIGHTS = ("w_ih", "w_hh", "b_ih", "b_hh", "v")
#: Gradients of at least this many bytes use memory of the engine's pool, which has been written before; for fewer,
#: taking and returning it would cost more than it saves.
LARGE = 1 << 19


class Pass:
    """One layer and direction in calls of one form. tensors: x, the states that are given, and the weights that there
    are, of the first of these calls. Subclasses say how the forward pass runs and what memory it leaves."""

    def __init__(self, call: Call, sizes: Sizes, tensors: list[Tensor], given: int):
        from tidegate.engines.cpu import boundary, workspace
        from tidegate.engines.cpu.launch import index_table, shape_of, zero_row
        from tidegate.engines.cpu.launch_plan import direct

        self.shape, self.sizes, self.boundary, self.given = shape_of(call), sizes, boundary, given
        w, states, self.names, shape = call.weights, tensors[1 : 1 + given], call.step.state, self.shape
        self.extents = [(t.itemsize, extent(t)) for t in tensors]
        self.new: list[Callable[[Tensor], Tensor] | None] = [
            None if not t.requires_grad else torch.empty_like if t.nbytes < LARGE else workspace.empty_like
            for t in tensors
        ]
        self.zero = zero_row(shape.arithmetic, max(call.H, call.D) + 64).data_ptr()
        self.zeros = [] if given else [self.zero] * len(self.names)
        self.state = template(sizes.state, w.w_hh.dtype)
        self.present = [t is not None for t in w.tensors()[:5]]
        self.absent = [name for name, present in zip(WEIGHTS, self.present) if not present]
        self.absent.append("x" if call.indexed else "index")
        self.rows = {f"start_b.{name}": s.stride(-2) if s.dim() > 1 else 0 for name, s in zip(self.names, states)}
        self.x = {} if call.indexed else {"x_t": call.x.stride(0), "x_b": call.x.stride(1)}
        #: Whether x is class indices; then the gradient of w_ih is collected in a table (`index_table`).
        self.indexed, self.index_table, self.direct = shape.indexed, index_table, direct(shape)
        self.at_w_ih = sum(new is not None for new in self.new[: 1 + given])
        self.back: Back | None = None
        self.read: list[tuple[int, int]] = []  # the extents of the tensors that the backward pass reads
        #: The forms of saved tensors and incoming gradients that the kernel can take, by which gradients are given.
        self.incoming: dict[tuple[bool, ...], Callable[..., bool]] = {}

    def saves(self, tensors: Sequence[Tensor], memory: Sequence[Tensor]) -> None:
        """Note how the tensors that are saved lie in memory."""
        self.kinds = [saved_tensors.kind(t) for t in (*tensors, *memory)]
        self.layouts = [layout(t) for t in (*tensors, *memory)]

    # -- what a subclass defines --------------------------------------------------------------------------------------

    calls: Any  # OneStep or Steps

    def forward(self, tensors: Sequence[Tensor]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """The outputs, if the module returns some, with the new states; and the memory that is saved for the backward
        pass."""
        raise NotImplementedError

    def memory(self, saved: Sequence[Tensor]) -> tuple[int, int]:
        """The addresses of the sequence of the first state and of what else is kept, in the saved memory, which follows
        the tensors of the call."""
        raise NotImplementedError

    # -- the backward pass --------------------------------------------------------------------------------------------

    def takes(self, saved: Sequence[Tensor], d: tuple[Tensor | None, ...]) -> bool:
        """Whether the backward kernel can run for these saved tensors and gradients of the results."""
        if torch.is_grad_enabled():
            return False
        key, given = tuple([t is None for t in d]), [t for t in d if t is not None]
        known = self.incoming.get(key)
        if known is None or in_forward_mode() or not known(*saved, *given):  # a form ignores tangents
            if autograd.for_eager_engine(d) or [layout(t) for t in saved] != self.layouts:
                return False
            for t in given:
                self.boundary.gradient(t, self.state)
            self.incoming[key] = same_form([*saved, *given])
        return True

    def backward(self, saved: Sequence[Tensor], d: Sequence[Tensor | None]) -> list[Tensor | None]:
        """The gradients with respect to the tensors of the call that require one, given those of the results."""
        boundary, back = self.boundary, self.back or self.make_back()
        found = [None if new is None else new(t) for new, t in zip(self.new, saved)]
        written = [t.data_ptr() for t in found if t is not None]
        table = d_w_ih = None
        if self.indexed and (d_w_ih := found[1 + self.given]) is not None:
            table = self.index_table(self.shape, d_w_ih)
            written[self.at_w_ih] = table.data_ptr()
        words = boundary.addresses([saved[k] for k in back.read], self.read)
        words += written
        words += [written[k] for k in back.sums]
        first, kept = self.memory(saved)
        words.append(first)
        d_outputs, d_finals = (None, d) if self.sizes.outputs is None else (d[0], d[1:])
        # Names keep these tensors alive while the kernel reads them.
        d_outputs = None if d_outputs is None else boundary.rows(d_outputs)
        d_finals = [None if t is None else boundary.whole(t) for t in d_finals]
        words += (self.zero, 0, 0) if d_outputs is None else (boundary.address(d_outputs), *self.strides(d_outputs))
        for t in d_finals:
            words += (self.zero, 0) if t is None else (boundary.address(t), self.shape.H)
        back.run(words, kept)
        if table is not None and d_w_ih is not None and table is not d_w_ih:
            d_w_ih.copy_(table if self.direct else table.t())
        return found

    def strides(self, d: Tensor) -> tuple[int, int]:
        """The strides of time and of rows."""
        time, rows = self.sizes.axes
        return 0 if time is None else d.stride(time), 0 if rows is None else d.stride(rows)

    def make_back(self) -> Back:
        from tidegate.engines.cpu.repeated import Back

        weights = [name for name, present in zip(WEIGHTS, self.present) if present]
        roles = ["index" if self.shape.indexed else "x", *[f"start.{s}" for s in self.names[: self.given]], *weights]
        needed = [new is not None for new in self.new]
        made = Back(self.calls, roles, needed, self.x | {"no_x": self.zero})
        self.read = [self.extents[k] for k in made.read]
        self.back = made
        return made

    def replayed(self, saved: Sequence[Tensor], d: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        """As `backward`, by torch's own operations, in cases that the kernel cannot take."""
        saved_tensors.check(saved, self.kinds)
        return autograd.replayed(self.replay, tuple(saved[: len(self.new)]), d)

    def replay(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The results by torch's own operations."""
        shape, sizes, x = self.shape, self.sizes, tensors[0]
        weights, states = iter(tensors[1 + self.given :]), tensors[1 : 1 + self.given]
        if not states:
            states = [torch.zeros_like(self.state)] * len(self.names)
        call = Call(
            shape.step,
            time_first(x, sizes.x, shape.T, shape.B),
            tuple(s.reshape(shape.B, shape.H) for s in states),
            Weights(*[next(weights) if present else None for present in self.present]),  # type: ignore[arg-type]
            reverse=shape.reverse,
            precision=shape.precision,
        )
        result = autograd.by_eager(call)
        states = [s.reshape(self.state.shape) for s in result.states]
        if sizes.outputs is None:
            return states
        y = result.outputs
        return [y.transpose(0, 1) if sizes.axes == BATCH_FIRST else y.reshape(sizes.outputs), *states]


class Recurrence(torch.autograd.Function):
    """A pass in torch's graph."""

    @staticmethod
    def forward(ctx: Any, own: Pass, *tensors: Tensor) -> tuple[Tensor, ...]:
        results, memory = own.forward(tensors)
        ctx.own = own
        ctx.save_for_backward(*tensors, *memory)
        ctx.set_materialize_grads(False)
        return results

    @staticmethod
    def backward(ctx: Any, *d: Tensor | None) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        own, saved = ctx.own, ctx.saved_tensors
        return None, *(own.backward(saved, d) if own.takes(saved, d) else own.replayed(saved, d))


apply = apply_of(Recurrence)
