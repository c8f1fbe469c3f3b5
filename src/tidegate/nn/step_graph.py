"""Single-step calls that require a gradient, as one node of torch's graph; `step_form` explains forms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tidegate.engines import Call, Weights, autograd, eager, saved_tensors
from tidegate.engines.torch_private import apply_of, same_form
from tidegate.nn.step_form import Steps, extent

if TYPE_CHECKING:
    from tidegate.engines.cpu.one_step import OneStepBack


#: The arguments for the weights of a layer.
WEIGHTS = ("w_ih", "w_hh", "b_ih", "b_hh", "v")
#: Gradients of at least this many bytes use memory of the engine's pool, which has been written before; for fewer,
#: taking and returning it would cost more than it saves.
LARGE = 1 << 19


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
        self.new = [
            None if not t.requires_grad else torch.empty_like if t.nbytes < LARGE else workspace.empty_like
            for t in tensors
        ]
        self.zero = zero_row(w.w_hh.dtype, max(call.H, call.D) + 64).data_ptr()
        self.zeros = [] if given else [self.zero] * len(self.names)
        self.state = torch.empty(steps.state, dtype=w.w_hh.dtype, device="cpu")
        self.outputs = steps.outputs
        self.present = [t is not None for t in w.tensors()[:5]]
        absent = [name for name, present in zip(WEIGHTS, self.present) if not present]
        rows = {f"start_b.{name}": s.stride(-2) if s.dim() > 1 else 0 for name, s in zip(self.names, states)}
        self.x = {"x_t": call.x.stride(0), "x_b": call.x.stride(1)}
        self.step = OneStep(self.shape, [*absent, "index"], rows | self.x, save=True)
        self.kept = torch.empty(self.step.bytes_saved, dtype=torch.uint8, device="cpu")
        self.kinds = [saved_tensors.kind(t) for t in (*tensors, self.kept)]
        self.layouts = [layout(t) for t in (*tensors, self.kept)]
        self.back: OneStepBack | None = None
        self.read: list[tuple[int, int]] = []  # the extents of the tensors that it reads
        #: The forms of incoming gradients that the kernel can take, by which of them are given.
        self.incoming: dict[tuple[bool, ...], Callable[..., bool]] = {}

    def run(self, tensors: tuple[Tensor, ...]) -> Any:
        """What the module returns."""
        found = apply(self, *tensors)
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

    def takes(self, saved: Sequence[Tensor], d: tuple[Tensor | None, ...]) -> bool:
        """Whether the backward kernel can run for these saved tensors and gradients of the results."""
        if torch.is_grad_enabled():
            return False
        key, given = tuple([t is None for t in d]), [t for t in d if t is not None]
        known = self.incoming.get(key)
        if known is None or not known(*saved, *given):
            if autograd.for_eager_engine(d) or [layout(t) for t in saved] != self.layouts:
                return False
            for t in given:
                self.boundary.gradient(t, self.state)
            self.incoming[key] = same_form([*saved, *given])
        return True

    def backward(self, tensors: Sequence[Tensor], kept: Tensor, d: Sequence[Tensor | None]) -> list[Tensor | None]:
        """The gradients with respect to `tensors` that require one, given those of the results."""
        boundary, back = self.boundary, self.back or self.make_back()
        found = [None if new is None else new(t) for new, t in zip(self.new, tensors)]
        addresses = [t.data_ptr() for t in found if t is not None]
        words = boundary.addresses([tensors[k] for k in back.read], self.read)
        words += addresses
        words += [addresses[k] for k in back.sums]
        if self.outputs is None:
            d = None, *d
        # A name keeps these tensors alive while the kernel reads them.
        whole = [None if t is None else boundary.whole(t) for t in d]
        for t in whole:
            words += (self.zero, 0) if t is None else (boundary.address(t), self.shape.H)
        back.run(words, boundary.address(kept))
        return found

    def make_back(self) -> OneStepBack:
        from tidegate.engines.cpu.one_step import OneStepBack

        weights = [name for name, present in zip(WEIGHTS, self.present) if present]
        roles = ["x", *[f"start.{s}" for s in self.names[: self.given]], *weights]
        needed = [new is not None for new in self.new]
        made = OneStepBack(self.step, roles, needed, self.x | {"no_x": self.zero})
        self.read = [self.extents[k] for k in made.read]
        self.back = made
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


def layout(t: Tensor) -> tuple:
    """How `t` lies in memory: a hook of saved tensors, or an assignment to `.data`, may change that."""
    return saved_tensors.kind(t), t.layout, t.stride(), t.is_neg()


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
        form, saved = ctx.form, ctx.saved_tensors
        *tensors, kept = saved
        if form.takes(saved, d):
            return None, *form.backward(tensors, kept, d)
        saved_tensors.check(saved, form.kinds)
        return None, *autograd.replayed(form.replay, tuple(tensors), d)


apply = apply_of(Node)
