"""The kernels as one node of torch's graph."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from tidegate.engines import eager
from tidegate.engines.call import Call, Result, Weights
from tidegate.engines.cpu import launch, team
from tidegate.engines.cpu.launch import shape_of
from tidegate.engines.cpu.launch_plan import Shape


def run(call: Call) -> Result:
    shape = shape_of(call)
    tensors = (call.x, *call.states, *call.weights.tensors())
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors):
        node = _ScanInBlocks if call.recompute and not call.keep_gates else _Scan
        flat: Any = node.apply(call, shape, *tensors)
    else:
        found = launch.forward(call, shape, save=False)
        flat = (found.outputs, *found.finals, found.states, found.gates)
    n = 1 + len(call.states)
    if not call.keep_gates:
        return Result(flat[0], flat[1:n])
    sequences, gates = (dict(zip(names, t.unbind(2))) for names, t in zip((call.step.state, call.step.gates), flat[n:]))
    return Result(flat[0], flat[1:n], sequences, gates)


class _Scan(torch.autograd.Function):
    """Forward and backward kernel. A backward pass that is itself to be differentiated is run by the eager engine."""

    @staticmethod
    def forward(ctx: Any, call: Call, shape: Shape, *tensors: Tensor | None) -> tuple[Tensor | None, ...]:
        outputs, finals, states, gates, kept = launch.forward(call, shape, save=True)
        assert kept is not None
        ctx.form = (call.step, call.reverse, call.lengths, call.resets, call.keep_gates)
        ctx.shape = shape
        ctx.save_for_backward(*tensors, *kept)
        ctx.set_materialize_grads(False)
        return outputs, *finals, states, gates

    @staticmethod
    def backward(ctx: Any, *d: Tensor | None) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        *tensors, first, memory, mask = ctx.saved_tensors
        step, *form = ctx.form
        n = 1 + len(step.state)
        x, w = tensors[0], Weights(*tensors[n:])
        if torch.is_grad_enabled():
            call = Call(step, x, tuple(tensors[1:n]), w, *form)
            return None, None, *differentiable_gradients(call, tuple(tensors), d)
        shape, threads = ctx.shape, team.threads()
        needed = ctx.needs_input_grad[2:]
        d_x, d_states, d_weights = launch.backward(
            shape if shape.threads == threads else replace(shape, threads=threads),
            x,
            w,
            launch.Kept(first, memory, mask),
            launch.Cotangents(d[0], d[1:n], d[n], d[n + 1]),
            need_x=needed[0],
            need_w_ih=needed[n],
            need_w_hh=needed[n + 1],
        )
        gradients = (d_x, *d_states, *d_weights)
        return None, None, *[g if need else None for g, need in zip(gradients, needed)]


class _ScanInBlocks(torch.autograd.Function):
    """As `_Scan`, with memory for about 2 sqrt(T) steps: the forward pass keeps the states between blocks of steps, the
    backward pass runs each block again before it goes back through it."""

    @staticmethod
    def forward(ctx: Any, call: Call, shape: Shape, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        outputs = call.states[0].new_empty(call.T, call.B, call.H)
        states, between = call.states, []
        for block in blocks(call):
            between.append(states)
            here = part(call, block, states)
            found = launch.forward(here, shape_of(here), save=False)
            outputs[block] = found.outputs
            states = found.finals
        ctx.form = (call.step, call.reverse, call.lengths, call.resets)
        ctx.save_for_backward(*tensors, *(s for states in between[1:] for s in states))
        ctx.set_materialize_grads(False)
        return outputs, *states

    @staticmethod
    def backward(ctx: Any, *d: Tensor | None) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        step, *form = ctx.form
        S = len(step.state)
        n = len(ctx.needs_input_grad) - 2
        tensors, kept = ctx.saved_tensors[:n], ctx.saved_tensors[n:]
        call = Call(step, tensors[0], tuple(tensors[1 : 1 + S]), Weights(*tensors[1 + S :]), *form)
        if torch.is_grad_enabled():
            return None, None, *differentiable_gradients(call, tensors, d)
        between = [call.states, *(kept[i : i + S] for i in range(0, len(kept), S))]
        needed = ctx.needs_input_grad[2:]
        d_x = torch.empty_like(call.x) if needed[0] else None
        d_states, total = d[1:], None
        for block, states in reversed(list(zip(blocks(call), between, strict=True))):
            again = part(call, block, states)
            shape = shape_of(again)
            kept_here = launch.forward(again, shape, save=True).kept
            assert kept_here is not None
            d_here = launch.Cotangents(None if d[0] is None else d[0][block], d_states, None, None)
            found = launch.backward(
                shape, again.x, again.weights, kept_here, d_here,
                need_x=needed[0], need_w_ih=needed[1 + S], need_w_hh=needed[2 + S],
            )  # fmt: skip
            if d_x is not None and found.x is not None:
                d_x[block] = found.x
            d_states = found.states
            weights = found.weights
            total = weights if total is None else tuple(map(add, total, weights))
        gradients = (d_x, *d_states, *(total or ()))
        return None, None, *(g if need else None for g, need in zip(gradients, needed))


def add(total: Tensor | None, more: Tensor | None) -> Tensor | None:
    return None if total is None or more is None else total.add_(more)


def blocks(call: Call) -> list[slice]:
    """About sqrt(T) stretches of steps, in the order in which they run."""
    size = max(1, round(call.T**0.5))
    found = [slice(t, min(t + size, call.T)) for t in range(0, call.T, size)]
    return found[::-1] if call.reverse else found


def part(call: Call, block: slice, states: tuple[Tensor, ...]) -> Call:
    """The call on a stretch of its steps."""
    lengths = None if call.lengths is None else (call.lengths - block.start).clamp(0, block.stop - block.start)
    resets = None if call.resets is None else call.resets[block]
    return Call(call.step, call.x[block], states, call.weights, call.reverse, lengths, resets)


def differentiable_gradients(
    call: Call, tensors: tuple[Tensor | None, ...], d: tuple[Tensor | None, ...]
) -> tuple[Tensor | None, ...]:
    """The gradients as functions of inputs and cotangents, so that they can be differentiated in turn."""
    result = eager.run(call)
    flat = [result.outputs, *result.states]
    if call.keep_gates:
        flat += [torch.stack(list(kept.values()), 2) for kept in (result.sequences, result.gates)]
    outputs = [(y, dy) for y, dy in zip(flat, d) if dy is not None]
    wanted = [t for t in tensors if t is not None and t.requires_grad]
    found = torch.autograd.grad(
        [y for y, _ in outputs], wanted, [dy for _, dy in outputs], create_graph=True, allow_unused=True
    )
    by_tensor = dict(zip(map(id, wanted), found))
    return tuple(None if t is None else by_tensor.get(id(t)) for t in tensors)
