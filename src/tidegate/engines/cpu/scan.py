"""Whole sequences through the kernels: torch tensors on one side, addresses on the other."""

from dataclasses import dataclass
from functools import cache as once

import torch
from torch import Tensor

from tidegate.engines.call import Call, Weights
from tidegate.engines.cpu import kernels, team, workspace
from tidegate.engines.cpu.frame import Shape, backward_frame, forward_frame
from tidegate.engines.cpu.kernel import ACTIVE, RESET


@dataclass(frozen=True)
class Kept:
    """What the forward pass leaves for the backward pass: the sequence of the first state (T + 1, B, H), one piece of
    memory with all else, and the mask of ragged sequences."""

    first: Tensor
    memory: Tensor
    mask: Tensor | None


@dataclass(frozen=True)
class Scanned:
    """outputs (T, B, H), final states, and with traces every state (T, B, S, H) and gate (T, B, G, H)."""

    outputs: Tensor
    finals: tuple[Tensor, ...]
    states: Tensor | None
    gates: Tensor | None
    kept: Kept | None


@dataclass(frozen=True)
class Cotangents:
    """dL/d of what `forward` returned, None for what does not matter."""

    outputs: Tensor | None
    finals: tuple[Tensor | None, ...]
    states: Tensor | None
    gates: Tensor | None


@dataclass(frozen=True)
class Gradients:
    """dL/d of what `forward` was given, None for what was not asked for."""

    x: Tensor | None
    states: tuple[Tensor, ...]
    weights: tuple[Tensor | None, ...]


def shape_of(call: Call) -> Shape:
    ragged = call.lengths is not None or call.resets is not None
    return Shape(
        call.step, call.weights.w_hh.dtype, call.T, call.B, call.D, call.H,
        call.reverse, call.indexed, ragged, call.keep_gates, team.threads(), kernels.here(),
    )  # fmt: skip


def forward(call: Call, *, save: bool) -> Scanned:
    """Run the forward kernel; with `save`, keep what `backward` needs."""
    step, w, T, B, H = call.step, contiguous(call.weights), call.T, call.B, call.H
    shape = shape_of(call)
    frame = forward_frame(shape, save=save)
    dtype = shape.dtype
    mask = ragged_mask(call) if shape.ragged else None
    # The outputs are the sequence of the first state, unless that is frozen and reset on the way.
    first = workspace.empty((T + 1, B, H), dtype)
    outputs = workspace.empty((T, B, H), dtype) if shape.ragged else first[:T] if call.reverse else first[1:]
    finals = tuple(torch.empty(B, H, dtype=dtype) for _ in step.state)
    states = workspace.empty((T, B, len(step.state), H), dtype) if shape.traced else None
    gates = workspace.empty((T, B, len(step.gates), H), dtype) if shape.traced else None
    memory = workspace.empty((frame.kept.size,), torch.uint8) if save else None
    x = () if call.indexed else in_rows(call.x)
    index = call.x.to(torch.int64).contiguous() if call.indexed else None
    words = {
        "w_ih": w.w_ih.data_ptr(), "w_hh": w.w_hh.data_ptr(), "b_ih": address(w.b_ih), "b_hh": address(w.b_hh),
        "v": address(w.vectors), "index": address(index), "outputs": outputs.data_ptr(),
        "mask": 0 if mask is None else mask.data_ptr() + B, "gate": address(gates), "states": address(states),
    }  # fmt: skip
    if isinstance(x, Tensor):
        words |= {"x": x.data_ptr(), "x_t": x.stride(0), "x_b": x.stride(1)}
    starts = [in_rows(s) for s in call.states]
    for s, start, final in zip(step.state, starts, finals):
        words |= {f"start_{s}": start.data_ptr(), f"start_b_{s}": start.stride(0), f"final_{s}": final.data_ptr()}
        if f"seq_{s}" not in frame.room.offset and f"seq_{s}" not in frame.kept.offset:
            words[f"seq_{s}"] = final.data_ptr()
    words[f"seq_{step.state[0]}"] = first.data_ptr()
    with workspace.borrow(frame.room.size) as room:
        frame.run(words, room, address(memory))
    return Scanned(outputs, finals, states, gates, None if memory is None else Kept(first, memory, mask))


def backward(call: Call, kept: Kept, d: Cotangents, *, need_x: bool, need_w_ih: bool, need_w_hh: bool) -> Gradients:
    """Run the backward kernel."""
    step, w, T, B, D, H = call.step, contiguous(call.weights), call.T, call.B, call.D, call.H
    shape = shape_of(call)
    need_x = need_x and not call.indexed
    frame = backward_frame(shape, need_x=need_x, need_w_ih=need_w_ih)
    dtype = shape.dtype
    table = torch.zeros(D, w.w_ih.shape[0], dtype=dtype) if need_w_ih and call.indexed else None
    d_w_ih = workspace.empty(tuple(w.w_ih.shape), dtype) if need_w_ih and not call.indexed else None
    d_w_hh = workspace.empty(tuple(w.w_hh.shape), dtype) if need_w_hh else None
    d_x = workspace.empty((T, B, D), dtype) if need_x else None
    d_b_ih, d_b_hh, d_v = (None if t is None else torch.empty_like(t) for t in (w.b_ih, w.b_hh, w.vectors))
    d_starts = tuple(torch.empty(B, H, dtype=dtype) for _ in step.state)
    zeros = zero_row(dtype, max(H, D) + 64).data_ptr()
    d_outputs = None if d.outputs is None else in_rows(d.outputs)
    d_states = full(d.states, (T, B, len(step.state), H), dtype) if shape.traced else None
    d_gates = full(d.gates, (T, B, len(step.gates), H), dtype) if shape.traced else None
    index = call.x.to(torch.int64).contiguous() if call.indexed else None
    words = {
        "w_ih": w.w_ih.data_ptr(), "w_hh": w.w_hh.data_ptr(), "v": address(w.vectors), "index": address(index),
        "d_outputs": zeros, "d_states": address(d_states), "gate": address(d_gates),
        "mask": 0 if kept.mask is None else kept.mask.data_ptr() + B, "no_x": zeros,
        "d_w_hh": address(d_w_hh), "d_w_ih": address(table if call.indexed else d_w_ih), "table": address(table),
        "d_x": address(d_x), "d_b_ih": address(d_b_ih), "d_b_hh": address(d_b_hh), "d_v": address(d_v),
    }  # fmt: skip
    for name, sums in (("sum_w_hh", d_w_hh), ("sum_w_ih", d_w_ih)):
        if name not in frame.room.offset:
            words[name] = address(sums)
    x = None if call.indexed else in_rows(call.x)
    if x is not None:
        words |= {"x": x.data_ptr(), "x_t": x.stride(0), "x_b": x.stride(1)}
    if d_outputs is not None:
        words |= {
            "d_outputs": d_outputs.data_ptr(),
            "d_outputs_t": d_outputs.stride(0),
            "d_outputs_b": d_outputs.stride(1),
        }
    finals = [None if f is None else in_rows(f) for f in d.finals]
    for s, final, start in zip(step.state, finals, d_starts):
        words |= {f"d_final_{s}": zeros, f"d_start_{s}": start.data_ptr()}
        if final is not None:
            words |= {f"d_final_{s}": final.data_ptr(), f"d_final_b_{s}": final.stride(0)}
    words[f"seq_{step.state[0]}"] = kept.first.data_ptr()
    with workspace.borrow(frame.room.size) as room:
        frame.run(words, room, kept.memory.data_ptr())
    d_w_ih = d_w_ih if table is None else table.t().contiguous()
    return Gradients(d_x, d_starts, (d_w_ih, d_w_hh, d_b_ih, d_b_hh, d_v, None))


# -- small parts ------------------------------------------------------------------------------------------------------


def in_rows(x: Tensor) -> Tensor:
    """`x` with the numbers of a row side by side."""
    return x if x.stride(-1) == 1 or x.shape[-1] == 1 else x.contiguous()


def contiguous(w: Weights) -> Weights:
    if all(t is None or t.is_contiguous() for t in w.tensors()):
        return w
    return Weights(*(None if t is None else t.contiguous() for t in w.tensors()))  # type: ignore[arg-type]


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
