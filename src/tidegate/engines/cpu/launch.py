"""Launching the kernels: the two passes of `engines.autograd.Kernels`, from tensors to addresses and back."""

import ctypes
from collections.abc import Mapping
from functools import cache as once
from functools import lru_cache
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from tidegate.calculus import Step
from tidegate.engines.autograd import Cotangents, Forward, Gradients, Needed, Saved
from tidegate.engines.call import Call, Weights
from tidegate.engines.cpu import kernels, team, workspace
from tidegate.engines.cpu.boundary import address, gradient, indices, rows, whole
from tidegate.engines.cpu.kernel_call import KernelCall
from tidegate.engines.cpu.launch_plan import LaunchPlan, Shape, backward_launch, direct, forward_launch
from tidegate.engines.cpu.prepared import Prepared
from tidegate.engines.cpu.target import Target
from tidegate.engines.precision import ARITHMETIC
from tidegate.engines.ragged import step_mask
from tidegate.errors import EngineError, ShapeError

#: Named wherever memory is made, because a program can set another default device.
CPU = torch.device("cpu")


def shape_of(call: Call) -> Shape:
    """The Shape of the call; ShapeError names a tensor whose shape does not match the others."""
    w = call.weights
    tensors = (call.x, *call.states, w.w_ih, w.w_hh, w.b_ih, w.b_hh, w.vectors, call.lengths, call.resets)
    sizes = tuple([None if t is None else t.shape for t in tensors])
    return _shape(
        call.step, sizes, w.w_hh.dtype, call.reverse, call.keep_gates, team.threads(), kernels.here(), call.precision
    )


@lru_cache(maxsize=512)
def _shape(
    step: Step,
    sizes: tuple[torch.Size | None, ...],
    dtype: torch.dtype,
    reverse: bool,
    traced: bool,
    threads: int,
    target: Target,
    precision: str,
) -> Shape:
    """Convert the sizes to plain integers and check them against each other, once for each form of call."""
    plain = [None if size is None else tuple(map(int, size)) for size in sizes]
    real, stored = ARITHMETIC[dtype], "bfloat" if dtype is torch.bfloat16 else None
    precision = "medium" if precision == "medium" and target.pairs and real is torch.float32 else "highest"
    if stored is not None and (precision != "medium" or target.matrix):
        raise EngineError(
            f"the kernels read {dtype} tensors only where all products are of pairs of such numbers: expected the "
            f'precision "medium", and a processor with AVX512-BF16 and without a matrix unit, got "{precision}" on '
            f"{target.cpu}. Convert the tensors to float32."
        )
    (T, B, *features), (gate_rows, D) = plain[0], plain[1 + len(step.state)]  # type: ignore[misc]
    H, ragged = gate_rows // len(step.inputs), plain[-2:] != [None, None]
    a, q, v = len(step.inputs) * H, len(step.products) * H, len(step.vectors) * H
    expected = {
        "x": (T, B, D) if features else (T, B), **{f"state {s}": (B, H) for s in step.state}, "w_ih": (a, D),
        "w_hh": (q, H), "b_ih": (a,), "b_hh": (q,), "vectors": (v,), "lengths": (B,), "resets": (T, B),
    }  # fmt: skip
    for (name, size), got in zip(expected.items(), plain, strict=True):
        if got != size and (got is not None or (name == "vectors" and v)):
            raise ShapeError(f"`{name}` of {step.name} must have shape {size}, got {got}.")
    return Shape(step, real, T, B, D, H, reverse, not features, ragged, traced, threads, target, precision, stored)


def forward(call: Call, *, save: bool, prepared: Prepared | None = None) -> Forward:
    """The forward pass; with `save`, what `backward` needs is kept; with `prepared`, the weights are packed already.

    Where neither lengths nor resets are given, the outputs are the sequence of the first state and share its memory,
    unless they are bfloat16 numbers.
    """
    ready = forward_call(call, save=save, prepared=prepared)
    ready.kernel_call.run()
    found, storage = ready.result, call.weights.w_hh.dtype
    if found.states is None or found.gates is None:
        return found
    return found._replace(states=found.states.to(storage), gates=found.gates.to(storage))


def backward(call: Call, saved: Saved, d: Cotangents, needed: Needed) -> Gradients:
    """The backward pass of the same call, from what `forward` saved."""
    ready = backward_call(call, saved, d, needed)
    ready.kernel_call.run()
    if ready.table is not None and ready.table is not ready.result.weights[0]:
        ready.result.weights[0].copy_(ready.table.t())  # type: ignore[union-attr]
    return ready.result


class ForwardCall(NamedTuple):
    """A call of the forward kernel, the index of each of its arguments, and the tensors to which it writes."""

    kernel_call: KernelCall
    at: Mapping[str, int]
    result: Forward


class BackwardCall(NamedTuple):
    """A call of the backward kernel, the index of each of its arguments, and the tensors to which it writes. With class
    indices, `table` must be zeros before the call; if it is not the gradient of w_ih, it is its transpose after it."""

    kernel_call: KernelCall
    at: Mapping[str, int]
    result: Gradients
    table: Tensor | None


def forward_call(call: Call, *, save: bool, prepared: Prepared | None = None) -> ForwardCall:
    """The kernel call of `forward`."""
    shape = shape_of(call)
    plan = forward_launch(shape, save=save, prepared=prepared is not None)
    step, w, T, B, H, dtype = shape.step, contiguous(call.weights), shape.T, shape.B, shape.H, shape.arithmetic
    mask = step_mask(call) if shape.ragged else None
    storage, shared = w.w_hh.dtype, not shape.ragged and shape.stored is None
    first = workspace.empty((T + 1, B, H), dtype)
    outputs = alias(first, 0 if shape.reverse else 1, T) if shared else workspace.empty((T, B, H), storage)
    finals = tuple([w.w_hh.new_empty(B, H) for _ in step.state])
    kept = workspace.empty((plan.kept.size,), torch.uint8) if save else None
    arguments = {
        "w_ih": address(w.w_ih), "w_hh": address(w.w_hh), "b_ih": address(w.b_ih), "b_hh": address(w.b_hh),
        "v": address(w.vectors), "outputs": outputs.data_ptr(), "mask": 0 if mask is None else mask.data_ptr() + B,
    }  # fmt: skip
    states = gates = None
    if shape.traced:
        states = workspace.empty((T, B, len(step.state), H), dtype)
        gates = workspace.empty((T, B, len(step.gates), H), dtype)
        arguments |= {"states": states.data_ptr(), "gate": gates.data_ptr()}
    x = inputs(call.x, shape, arguments)
    starts = [rows(s) for s in call.states]
    for s, start, final in zip(step.state, starts, finals):
        arguments[f"start.{s}"], arguments[f"start_b.{s}"] = address(start), start.stride(0)
        arguments[f"final.{s}"] = final.data_ptr()
        if f"seq.{s}" not in plan.scratch.offset and f"seq.{s}" not in plan.kept.offset:
            arguments[f"seq.{s}"] = final.data_ptr()
    arguments[f"seq.{step.state[0]}"] = first.data_ptr()
    saved = Saved((first, kept, mask), outputs.detach() if shared else None) if save else None
    return ForwardCall(
        kernel_call(plan, arguments, kept, prepared, (w, x, starts, first, mask)),
        plan.at,
        Forward(outputs, finals, states, gates, saved),
    )


def backward_call(call: Call, saved: Saved, d: Cotangents, needed: Needed) -> BackwardCall:
    """The kernel call of `backward`."""
    shape = shape_of(call)
    first, kept, mask = [None if t is None else whole(t) for t in saved.tensors]
    assert first is not None
    assert kept is not None
    need_x = needed.x and not shape.indexed
    plan = backward_launch(shape, need_x=need_x, need_w_ih=needed.w_ih)
    step, w, T, B, D, H = shape.step, contiguous(call.weights), shape.T, shape.B, shape.D, shape.H
    dtype, storage = shape.arithmetic, w.w_hh.dtype
    d_w_ih = workspace.empty(w.w_ih.shape, storage) if needed.w_ih else None
    table = None if d_w_ih is None or not shape.indexed else index_table(shape, d_w_ih)
    d_w_hh = workspace.empty(w.w_hh.shape, storage) if needed.w_hh else None
    d_x = workspace.empty((T, B, D), storage) if need_x else None
    d_b_ih, d_b_hh, d_v = [None if t is None else torch.empty_like(t) for t in (w.b_ih, w.b_hh, w.vectors)]
    d_starts = tuple([w.w_hh.new_empty(B, H) for _ in step.state])
    zeros = zero_row(dtype, max(H, D) + 64).data_ptr()
    arguments = {
        "w_ih": address(w.w_ih), "w_hh": address(w.w_hh), "v": address(w.vectors), "no_x": zeros,
        "mask": 0 if mask is None else mask.data_ptr() + B,
        "d_w_hh": address(d_w_hh), "d_w_ih": address(d_w_ih if table is None else table), "table": address(table),
        "d_x": address(d_x), "d_b_ih": address(d_b_ih), "d_b_hh": address(d_b_hh), "d_v": address(d_v),
        f"seq.{step.state[0]}": first.data_ptr(),
    }  # fmt: skip
    for name, sums in (("sum_w_hh", d_w_hh), ("sum_w_ih", d_w_ih)):
        if name not in plan.scratch.offset:
            arguments[name] = address(sums)
    d_states = d_gates = None
    if shape.traced:
        d_states = full(d.states, (T, B, len(step.state), H), dtype)
        d_gates = full(d.gates, (T, B, len(step.gates), H), dtype)
        arguments |= {"d_states": address(d_states), "gate": address(d_gates)}
    x = inputs(call.x, shape, arguments)
    d_outputs, *d_finals = [None if t is None else rows(gradient(t, w.w_hh)) for t in (d.outputs, *d.finals)]
    arguments["d_outputs"] = zeros if d_outputs is None else address(d_outputs)
    if d_outputs is not None:
        arguments["d_outputs_t"], arguments["d_outputs_b"], _ = d_outputs.stride()
    for s, d_final, d_start in zip(step.state, d_finals, d_starts):
        arguments[f"d_start.{s}"] = d_start.data_ptr()
        arguments[f"d_final.{s}"] = zeros if d_final is None else address(d_final)
        arguments[f"d_final_b.{s}"] = 0 if d_final is None else d_final.stride(0)
    if table is not None and table is not d_w_ih and direct(shape):
        table = table.t()
    return BackwardCall(
        kernel_call(plan, arguments, kept, None, (w, x, first, mask, d_states, d_gates, d_outputs, d_finals)),
        plan.at,
        Gradients(d_x, d_starts, (d_w_ih, d_w_hh, d_b_ih, d_b_hh, d_v, None)),
        table,
    )


def prepare(step: Step, weights: Weights, *, indexed: bool = False) -> Prepared:
    """The weights packed once, for any number of forward passes that take x as numbers, or with `indexed` as class
    indices. They are a copy: later changes of the weights do not affect them."""
    w = contiguous(weights)
    H, D = w.w_ih.shape[0] // len(step.inputs), w.w_ih.shape[1]
    x = torch.zeros((1, 1), dtype=torch.int64, device=CPU) if indexed else w.w_ih.new_zeros((1, 1, D))
    shape = shape_of(Call(step, x, (w.w_hh.new_zeros(1, H),) * len(step.state), w))
    plan = forward_launch(shape, save=False, prepared=True)
    packed = Prepared.empty(plan)
    arguments = {"w_ih": address(w.w_ih), "w_hh": address(w.w_hh), "b_ih": address(w.b_ih), "b_hh": address(w.b_hh)}
    inputs(x, shape, arguments)
    plan.pack(arguments, packed.memory.address)
    return packed


def kernel_call(
    plan: LaunchPlan, arguments: Mapping[str, int], kept: Tensor | None, prepared: Prepared | None, alive: object
) -> KernelCall:
    """A call of the plan's kernel. Its scratch memory includes the packed weights unless they are prepared; `alive`
    are the objects, besides the results, whose memory the arguments point to."""
    if prepared is not None:
        prepared.check(plan)
    at_kept = address(kept)

    def filled(scratch: int) -> ctypes.Array:
        packed = scratch + plan.scratch.size if prepared is None else prepared.memory.address
        array = plan.filled(arguments, (scratch, plan.scratch), (packed, plan.packed), (at_kept, plan.kept))
        if prepared is not None:
            array[plan.at["prepared"]] = 1
        return array

    size = plan.scratch.size + (plan.packed.size if prepared is None else 0)
    return KernelCall(plan.kernel, plan.pace, size, filled, (kept, prepared, alive))


# -- memory -----------------------------------------------------------------------------------------------------------


def inputs(x: Tensor, shape: Shape, arguments: dict[str, int]) -> Tensor:
    """Set the arguments for x; returns the tensor whose memory they point to."""
    if shape.indexed:
        x = indices(x, shape.D)
        arguments["index"] = address(x)
    else:
        x = rows(x)
        arguments["x"], arguments["x_t"], arguments["x_b"] = address(x), x.stride(0), x.stride(1)
    return x


def index_table(shape: Shape, d_w_ih: Tensor) -> Tensor:
    """Zeros to which the kernel adds a row for each class index: the gradient of w_ih itself where the kernel writes
    its columns where they lie (`direct`) in its own type; else a copy of it, transposed unless `direct`."""
    if not direct(shape):
        return torch.zeros(shape.D, len(d_w_ih), dtype=shape.arithmetic, device=CPU)
    if shape.stored is None:
        return d_w_ih.zero_()
    return torch.zeros(d_w_ih.shape, dtype=shape.arithmetic, device=CPU)


def alias(t: Tensor, first: int, count: int) -> Tensor:
    """t[first : first + count] as a tensor that torch does not treat as a view, so that it may be changed in place."""
    size = (count, *t.shape[1:])
    new = torch.empty(0, dtype=t.dtype, device=CPU)
    return new.set_(t.untyped_storage(), first * prod(t.shape[1:]), size, t.stride())


def contiguous(w: Weights) -> Weights:
    for t in w.tensors():
        if t is not None and (t.is_neg() or not t.is_contiguous()):
            return Weights(*(None if t is None else whole(t) for t in w.tensors()))  # type: ignore[arg-type]
    return w


def full(d: Tensor | None, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    return torch.zeros(shape, dtype=dtype, device=CPU) if d is None else whole(d.to(dtype))


@once
def _zeros(dtype: torch.dtype, size: int) -> Tensor:
    return torch.zeros(size, dtype=dtype, device=CPU)


def zero_row(dtype: torch.dtype, size: int) -> Tensor:
    """At least `size` zeros, shared by all calls and never written."""
    return _zeros(dtype, 1 << (size - 1).bit_length())
