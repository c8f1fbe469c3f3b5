"""Whole sequences through the kernels: torch tensors on one side, addresses on the other."""

from functools import cache as once
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from tidegate.calculus import Step
from tidegate.engines.call import Call, Weights
from tidegate.engines.cpu import kernels, team, workspace
from tidegate.engines.cpu.abi import ACTIVE, RESET
from tidegate.engines.cpu.launch_plan import Shape, backward_launch, forward_launch
from tidegate.engines.cpu.target import Target
from tidegate.errors import ShapeError


class Kept(NamedTuple):
    """What the forward pass leaves for the backward pass: the sequence of the first state (T + 1, B, H), one piece of
    memory with all else, and the mask of ragged sequences."""

    first: Tensor
    memory: Tensor
    mask: Tensor | None


class Scanned(NamedTuple):
    """outputs (T, B, H), final states, and with traces every state (T, B, S, H) and gate (T, B, G, H)."""

    outputs: Tensor
    finals: tuple[Tensor, ...]
    states: Tensor | None
    gates: Tensor | None
    kept: Kept | None


class Cotangents(NamedTuple):
    """dL/d of what `forward` returned, None for what does not matter."""

    outputs: Tensor | None
    finals: tuple[Tensor | None, ...]
    states: Tensor | None
    gates: Tensor | None


class Gradients(NamedTuple):
    """dL/d of what `forward` was given, None for what was not asked for."""

    x: Tensor | None
    states: tuple[Tensor, ...]
    weights: tuple[Tensor | None, ...]


def shape_of(call: Call) -> Shape:
    """What decides how the call is run; ShapeError names the tensor that does not fit the others."""
    w = call.weights
    tensors = (call.x, *call.states, w.w_ih, w.w_hh, w.b_ih, w.b_hh, w.vectors, call.lengths, call.resets)
    sizes = tuple([None if t is None else t.shape for t in tensors])
    return _shape(call.step, sizes, w.w_hh.dtype, call.reverse, call.keep_gates, team.threads(), kernels.here())


@lru_cache(maxsize=512)
def _shape(
    step: Step,
    sizes: tuple[torch.Size | None, ...],
    dtype: torch.dtype,
    reverse: bool,
    traced: bool,
    threads: int,
    target: Target,
) -> Shape:
    """The kernels trust sizes, so they are checked here, once for each form of call."""
    (T, B, *features), (rows, D) = sizes[0], sizes[1 + len(step.state)]  # type: ignore[misc]
    H, ragged = rows // len(step.inputs), sizes[-2:] != (None, None)
    a, q, v = len(step.inputs) * H, len(step.products) * H, len(step.vectors) * H
    expected = {
        "x": (T, B, D) if features else (T, B), **{f"state {s}": (B, H) for s in step.state}, "w_ih": (a, D),
        "w_hh": (q, H), "b_ih": (a,), "b_hh": (q,), "vectors": (v,), "lengths": (B,), "resets": (T, B),
    }  # fmt: skip
    for (name, size), got in zip(expected.items(), sizes, strict=True):
        if got != size and (got is not None or (name == "vectors" and v)):
            raise ShapeError(f"`{name}` of {step.name} must have shape {size}, got {got and tuple(got)}.")
    return Shape(step, dtype, T, B, D, H, reverse, not features, ragged, traced, threads, target)


def forward(call: Call, shape: Shape, *, save: bool) -> Scanned:
    """Run the forward kernel; with `save`, keep what `backward` needs."""
    frame = forward_launch(shape, save=save)
    step, w, T, B, H, dtype = shape.step, contiguous(call.weights), shape.T, shape.B, shape.H, shape.dtype
    mask = ragged_mask(call) if shape.ragged else None
    # The outputs are the sequence of the first state, unless that is frozen and reset on the way.
    first = workspace.empty((T + 1, B, H), dtype)
    outputs = workspace.empty((T, B, H), dtype) if shape.ragged else first[:T] if shape.reverse else first[1:]
    finals = tuple([w.w_hh.new_empty(B, H) for _ in step.state])
    memory = workspace.empty((frame.kept.size,), torch.uint8) if save else None
    words = {
        "w_ih": w.w_ih.data_ptr(), "w_hh": w.w_hh.data_ptr(), "b_ih": address(w.b_ih), "b_hh": address(w.b_hh),
        "v": address(w.vectors), "outputs": outputs.data_ptr(), "mask": 0 if mask is None else mask.data_ptr() + B,
    }  # fmt: skip
    states = gates = None
    if shape.traced:
        states = workspace.empty((T, B, len(step.state), H), dtype)
        gates = workspace.empty((T, B, len(step.gates), H), dtype)
        words |= {"states": states.data_ptr(), "gate": gates.data_ptr()}
    x = numbers(call.x) if shape.indexed else in_rows(call.x)
    words |= {"index": x.data_ptr()} if shape.indexed else {"x": x.data_ptr(), "x_t": x.stride(0), "x_b": x.stride(1)}
    starts = [in_rows(s) for s in call.states]
    for s, start, final in zip(step.state, starts, finals):
        words[f"start_{s}"], words[f"start_b_{s}"] = start.data_ptr(), start.stride(0)
        words[f"final_{s}"] = final.data_ptr()
        if f"seq_{s}" not in frame.room.offset and f"seq_{s}" not in frame.kept.offset:
            words[f"seq_{s}"] = final.data_ptr()
    words[f"seq_{step.state[0]}"] = first.data_ptr()
    room = workspace.take(frame.room.size)
    try:
        frame.run(words, room.address, address(memory))
    finally:
        workspace.give_back(room)
    return Scanned(outputs, finals, states, gates, None if memory is None else Kept(first, memory, mask))


def backward(
    shape: Shape, x: Tensor, w: Weights, kept: Kept, d: Cotangents, *, need_x: bool, need_w_ih: bool, need_w_hh: bool
) -> Gradients:
    """Run the backward kernel."""
    need_x = need_x and not shape.indexed
    frame = backward_launch(shape, need_x=need_x, need_w_ih=need_w_ih)
    step, w, T, B, D, H = shape.step, contiguous(w), shape.T, shape.B, shape.D, shape.H
    dtype = shape.dtype
    table = torch.zeros(D, len(w.w_ih), dtype=dtype) if need_w_ih and shape.indexed else None
    d_w_ih = workspace.empty(w.w_ih.shape, dtype) if need_w_ih and table is None else None
    d_w_hh = workspace.empty(w.w_hh.shape, dtype) if need_w_hh else None
    d_x = workspace.empty((T, B, D), dtype) if need_x else None
    d_b_ih, d_b_hh, d_v = [None if t is None else torch.empty_like(t) for t in (w.b_ih, w.b_hh, w.vectors)]
    d_starts = tuple([w.w_hh.new_empty(B, H) for _ in step.state])
    zeros = zero_row(dtype, max(H, D) + 64).data_ptr()
    words = {
        "w_ih": w.w_ih.data_ptr(), "w_hh": w.w_hh.data_ptr(), "v": address(w.vectors), "no_x": zeros,
        "mask": 0 if kept.mask is None else kept.mask.data_ptr() + B,
        "d_w_hh": address(d_w_hh), "d_w_ih": address(d_w_ih if table is None else table), "table": address(table),
        "d_x": address(d_x), "d_b_ih": address(d_b_ih), "d_b_hh": address(d_b_hh), "d_v": address(d_v),
    }  # fmt: skip
    for name, sums in (("sum_w_hh", d_w_hh), ("sum_w_ih", d_w_ih)):
        if name not in frame.room.offset:
            words[name] = address(sums)
    if shape.traced:
        d_states = full(d.states, (T, B, len(step.state), H), dtype)
        d_gates = full(d.gates, (T, B, len(step.gates), H), dtype)
        words |= {"d_states": d_states.data_ptr(), "gate": d_gates.data_ptr()}
    x = numbers(x) if shape.indexed else in_rows(x)
    words |= {"index": x.data_ptr()} if shape.indexed else {"x": x.data_ptr(), "x_t": x.stride(0), "x_b": x.stride(1)}
    if d.outputs is None:
        words["d_outputs"] = zeros
    else:
        d_outputs = in_rows(d.outputs)
        words["d_outputs"] = d_outputs.data_ptr()
        words["d_outputs_t"], words["d_outputs_b"], _ = d_outputs.stride()
    finals = [None if f is None else in_rows(f) for f in d.finals]
    for s, final, start in zip(step.state, finals, d_starts):
        words[f"d_start_{s}"] = start.data_ptr()
        if final is None:
            words[f"d_final_{s}"] = zeros
        else:
            words[f"d_final_{s}"], words[f"d_final_b_{s}"] = final.data_ptr(), final.stride(0)
    words[f"seq_{step.state[0]}"] = kept.first.data_ptr()
    room = workspace.take(frame.room.size)
    try:
        frame.run(words, room.address, kept.memory.data_ptr())
    finally:
        workspace.give_back(room)
    d_w_ih = d_w_ih if table is None else table.t().contiguous()
    return Gradients(d_x, d_starts, (d_w_ih, d_w_hh, d_b_ih, d_b_hh, d_v, None))


# -- small parts ------------------------------------------------------------------------------------------------------


def in_rows(x: Tensor) -> Tensor:
    """`x` with the numbers of a row side by side."""
    return x if x.stride(-1) == 1 or x.shape[-1] == 1 else x.contiguous()


def numbers(x: Tensor) -> Tensor:
    """Class numbers as the kernels take them."""
    return x if x.dtype == torch.int64 and x.is_contiguous() else x.to(torch.int64).contiguous()


def contiguous(w: Weights) -> Weights:
    for t in w.tensors():
        if t is not None and not t.is_contiguous():
            return Weights(*(None if t is None else t.contiguous() for t in w.tensors()))  # type: ignore[arg-type]
    return w


def full(d: Tensor | None, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    return torch.zeros(shape, dtype=dtype) if d is None else d.contiguous()


def address(x: Tensor | None) -> int:
    return 0 if x is None else x.data_ptr()


def ragged_mask(call: Call) -> Tensor:
    """(T + 2, B) bytes for t = -1 .. T: whether a step is inside its sequence, and whether its state is reset before
    it."""
    mask = torch.full((call.T + 2, call.B), ACTIVE, dtype=torch.uint8)
    steps = mask[1:-1]
    if call.lengths is not None:
        steps.copy_(torch.arange(call.T).unsqueeze(1) < call.lengths)
    if call.resets is not None:
        steps += call.resets.to(torch.bool) * steps * RESET
    return mask


@once
def _zeros(dtype: torch.dtype, size: int) -> Tensor:
    return torch.zeros(size, dtype=dtype)


def zero_row(dtype: torch.dtype, size: int) -> Tensor:
    """At least `size` zeros, shared by all calls and never written."""
    return _zeros(dtype, 1 << (size - 1).bit_length())
