"""The kernels as one node of torch's graph."""

from typing import Any

import torch
from torch import Tensor

from tidegate.engines import eager
from tidegate.engines.call import Call, Result, Weights
from tidegate.engines.cpu import scan
from tidegate.errors import ShapeError


def run(call: Call) -> Result:
    check_shapes(call)
    tensors = (call.x, *call.states, *call.weights.tensors())
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors):
        flat: Any = _Scan.apply(call, *tensors)
    else:
        found = scan.forward(call, save=False)
        flat = (found.outputs, *found.finals, found.states, found.gates)
    n = 1 + len(call.states)
    if not call.keep_gates:
        return Result(flat[0], tuple(flat[1:n]))
    sequences, gates = (dict(zip(names, t.unbind(2))) for names, t in zip((call.step.state, call.step.gates), flat[n:]))
    return Result(flat[0], tuple(flat[1:n]), sequences, gates)


def check_shapes(call: Call) -> None:
    """The kernels trust sizes, so they are checked here; ShapeError names the tensor that does not fit the others."""
    step, w, T, B, D, H = call.step, call.weights, call.T, call.B, call.D, call.H
    a, q, v = len(step.inputs) * H, len(step.products) * H, len(step.vectors) * H
    expected = [
        ("x", call.x, (T, B) if call.indexed else (T, B, D)),
        *((f"state {s}", t, (B, H)) for s, t in zip(step.state, call.states, strict=True)),
        ("w_ih", w.w_ih, (a, D)),
        ("w_hh", w.w_hh, (q, H)),
        ("b_ih", w.b_ih, (a,)),
        ("b_hh", w.b_hh, (q,)),
        ("vectors", w.vectors, (v,)),
        ("lengths", call.lengths, (B,)),
        ("resets", call.resets, (T, B)),
    ]
    for name, tensor, shape in expected:
        if tensor is not None and tensor.shape != shape:
            raise ShapeError(f"`{name}` of {step.name} must have shape {shape}, got {tuple(tensor.shape)}.")
    if v and w.vectors is None:
        raise ShapeError(f"`vectors` of {step.name} must have shape ({v},), got None.")


class _Scan(torch.autograd.Function):
    """Forward and backward kernel. A backward pass that is itself to be differentiated is run by the eager engine."""

    @staticmethod
    def forward(ctx: Any, call: Call, *tensors: Tensor | None) -> tuple[Tensor | None, ...]:
        found = scan.forward(call, save=True)
        kept = found.kept
        assert kept is not None
        ctx.form = (call.step, call.reverse, call.lengths, call.resets, call.keep_gates)
        ctx.save_for_backward(*tensors, kept.first, kept.memory, kept.mask)
        ctx.set_materialize_grads(False)
        return found.outputs, *found.finals, found.states, found.gates

    @staticmethod
    def backward(ctx: Any, *d: Tensor | None) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        *tensors, first, memory, mask = ctx.saved_tensors
        step, *form = ctx.form
        n = 1 + len(step.state)
        call = Call(step, tensors[0], tuple(tensors[1:n]), Weights(*tensors[n:]), *form)
        if torch.is_grad_enabled():
            return None, *differentiable_gradients(call, tuple(tensors), d)
        needed = ctx.needs_input_grad[1:]
        found = scan.backward(
            call,
            scan.Kept(first, memory, mask),
            scan.Cotangents(d[0], d[1:n], d[n], d[n + 1]),
            need_x=needed[0],
            need_w_ih=needed[n],
            need_w_hh=needed[n + 1],
        )
        gradients = (found.x, *found.states, *found.weights)
        return None, *(g if need else None for g, need in zip(gradients, needed))


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
