"""One form of calls of one step that require a gradient: as in `step_form`, as one node of torch's graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tidegate.engines import Call, Weights, autograd, eager
from tidegate.engines.torch_private import same_form
from tidegate.nn.step_form import Steps, extent

if TYPE_CHECKING:
    from tidegate.engines.cpu.one_step import OneStepBack


class GraphForm:
    """One form of calls of one layer with numbers as input; `same` and `run` as in `StepForm`."""

    def __init__(self, steps: Steps, tensors: list[Tensor], given: int):
        from tidegate.engines.cpu import boundary, workspace
        from tidegate.engines.cpu.launch import shape_of, zero_row
        from tidegate.engines.cpu.one_step import OneStep

        (call,) = steps.calls
        w, states, self.names = call.weights, tensors[1 : 1 + given], call.step.state
        self.shape, self.boundary, self.given = shape_of(call), boundary, given
        self.same = same_form(tensors)
        self.extents = [(t.itemsize, extent(t)) for t in tensors]
        # Gradients of large tensors have memory of the engine's pool, which has been written before.
        self.new = [torch.empty_like if t.nbytes < workspace.SMALL else workspace.empty_like for t in tensors]
        self.zero = zero_row(w.w_hh.dtype, max(call.H, call.D) + 64).data_ptr()
        self.zeros = [] if given else [self.zero] * len(self.names)
        self.state = torch.empty(steps.state, dtype=w.w_hh.dtype, device="cpu")
        self.outputs = steps.outputs
        self.present = [t is not None for t in w.tensors()[:5]]
        absent = [name for name, present in zip(("w_ih", "w_hh", "b_ih", "b_hh", "v"), self.present) if not present]
        rows = {f"start_b.{name}": s.stride(-2) if s.dim() > 1 else 0 for name, s in zip(self.names, states)}
        self.x = {"x_t": call.x.stride(0), "x_b": call.x.stride(1)}
        self.step = OneStep(self.shape, [*absent, "index"], rows | self.x, save=True)
        self.kept = torch.empty(self.step.bytes_saved, dtype=torch.uint8, device="cpu")
        self.back: dict[tuple[bool, bool], OneStepBack] = {}

    def run(self, tensors: tuple[Tensor, ...]) -> Any:
        """What the module returns."""
        found: Any = Node.apply(self, *tensors)
        states = found if self.outputs is None else found[1:]
        state = states[0] if len(states) == 1 else states
        return state if self.outputs is None else (found[0], state)

    def forward(self, tensors: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], Tensor]:
        """The outputs, if the module returns some, with the new states; and what is kept for the backward pass."""
        found = self.boundary.addresses(tensors, self.extents)
        if self.zeros:
            found[1:1] = self.zeros
        states = tuple([torch.empty_like(self.state) for _ in self.names])
        kept = torch.empty_like(self.kept)
        self.step.run_and_save([*found, *[s.data_ptr() for s in states]], kept.data_ptr())
        return (states if self.outputs is None else (states[0].view(self.outputs).clone(), *states)), kept

    def backward(
        self, tensors: Sequence[Tensor], kept: Tensor, d: Sequence[Tensor | None], needs: Sequence[bool]
    ) -> list[Tensor | None]:
        """The gradients with respect to `tensors`, where they are needed, given those of the results."""
        boundary, last = self.boundary, 1 + self.given
        found = [new(t) if need else None for new, t, need in zip(self.new, tensors, needs)]
        d_at = [0 if t is None else t.data_ptr() for t in found]
        at = boundary.addresses(tensors, self.extents)
        weights, d_weights = iter(at[last:]), iter(d_at[last:])
        w_ih, w_hh, _, _, v = [next(weights) if present else 0 for present in self.present]
        words = [at[0], w_ih, w_hh, v, d_at[0], *[next(d_weights) if present else 0 for present in self.present]]
        above = [None if t is None else boundary.whole(boundary.gradient(t, self.state)) for t in d]
        if self.outputs is not None:
            d_outputs = above.pop(0)
            words += (self.zero, 0, 0) if d_outputs is None else (boundary.address(d_outputs), 0, self.shape.H)
        else:
            words += self.zero, 0, 0
        # The kernel writes the gradients of all initial states, also of those that need none.
        d_starts = found[1:last] or [None] * len(self.names)
        unneeded = [torch.empty_like(self.state) for t in d_starts if t is None]
        free = iter(unneeded)
        for d_start, d_final in zip(d_starts, above):
            words += ((next(free) if d_start is None else d_start).data_ptr(),)
            words += (self.zero, 0) if d_final is None else (boundary.address(d_final), self.shape.H)
        key = bool(needs[0]), bool(needs[last])
        (self.back.get(key) or self.make_back(*key)).run(words, boundary.address(kept))
        return found

    def make_back(self, need_x: bool, need_w_ih: bool) -> OneStepBack:
        from tidegate.engines.cpu.one_step import OneStepBack

        fixed = self.x | {"no_x": self.zero}
        made = self.back[need_x, need_w_ih] = OneStepBack(
            self.shape, self.step, fixed, need_x=need_x, need_w_ih=need_w_ih
        )
        return made

    def replay(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The results by torch's own operations."""
        shape, x = self.shape, tensors[0]
        weights, states = iter(tensors[1 + self.given :]), tensors[1 : 1 + self.given]
        if not states:
            states = [x.new_zeros(shape.B, shape.H)] * len(self.names)
        call = Call(
            shape.step,
            x.reshape(1, shape.B, shape.D),
            tuple(s.reshape(shape.B, shape.H) for s in states),
            Weights(*[next(weights) if present else None for present in self.present]),  # type: ignore[arg-type]
        )
        result = eager.run(call, autograd.LINEAR[shape.precision])
        outputs = [] if self.outputs is None else [result.outputs.reshape(self.outputs)]
        return [*outputs, *(s.reshape(self.state.shape) for s in result.states)]


class Node(torch.autograd.Function):
    """One step in torch's graph."""

    @staticmethod
    def forward(ctx: Any, form: GraphForm, *tensors: Tensor) -> tuple[Tensor, ...]:
        results, kept = form.forward(tensors)
        ctx.form = form
        ctx.save_for_backward(*tensors, kept)
        ctx.set_materialize_grads(False)
        return results

    @staticmethod
    def backward(ctx: Any, *d: Tensor | None) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        form, (*tensors, kept) = ctx.form, ctx.saved_tensors
        if autograd.for_eager_engine(d):
            return None, *autograd.replayed(form.replay, tuple(tensors), d)
        return None, *form.backward(tensors, kept, d, ctx.needs_input_grad[1:])
