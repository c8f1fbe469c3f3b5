"""Whole sequences through the kernels: sizes, memory and arguments, for torch tensors on one side and addresses on the
other."""

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache as once

import torch
from torch import Tensor

from tidegate.engines.call import Call, Weights
from tidegate.engines.cpu import kernels, team, workspace
from tidegate.engines.cpu.kernel import ACTIVE, APART, RESET
from tidegate.engines.cpu.plan import backward_plan, forward_plan, operand_state
from tidegate.engines.cpu.workspace import Layout

REAL = {torch.float32: "float", torch.float64: "double"}

#: Bytes of inputs' shares that are computed ahead of the recurrence, so that they are still in the cache when it comes.
AHEAD = 1 << 20
#: Rows (steps times sequences) in one chunk of the backward pass: enough for an efficient product of weight gradients.
CHUNK_ROWS = 384
#: Multiplications below which a second thread costs more than it saves, for a whole call and for one step.
SMALL_CALL, SMALL_STEP = 1 << 20, 1 << 17
#: Rows a thread should have when rows are shared out, and the bytes of U that it may then have to itself.
FEW_ROWS, LARGE_U = 8, 3 << 19


@dataclass(frozen=True)
class Kept:
    """What the forward pass leaves for the backward pass: sequences of states, and one block with all else."""

    outputs: Tensor
    block: Tensor
    mask: Tensor | None


@dataclass(frozen=True)
class Scanned:
    """outputs (T, B, H), final states, and with traces every state (T, B, S, H) and gate (T, B, G, H)."""

    outputs: Tensor
    finals: tuple[Tensor, ...]
    states: Tensor | None
    gates: Tensor | None
    kept: Kept | None


def forward(call: Call, *, save: bool) -> Scanned:
    """Run the forward kernel; with `save`, keep what `backward` needs."""
    step, w, T, B, D, H = call.step, contiguous(call.weights), call.T, call.B, call.D, call.H
    mask = ragged_mask(call)
    ragged = mask is not None
    plan = forward_plan(step, save=save, ragged=ragged, traced=call.keep_gates)
    kernel = kernels.forward_kernel(step, REAL[w.w_hh.dtype], save=save, ragged=ragged, traced=call.keep_gates)
    L = kernel.lanes
    groups = (H + L - 1) // L
    Ga, Gq, S = len(step.inputs), len(step.products), len(step.state)
    like, item = w.w_hh, w.w_hh.element_size()
    x, index = inputs(call)
    threads, row_parts = division(call)
    chunk = T if index is not None else min(T, max(1, AHEAD // (B * Ga * H * item), -(-64 // B)))

    # The outputs are the sequence of the first state, unless that is frozen and reset on the way.
    base = like.new_empty(T + 1, B, H)
    outputs = base[: T if call.reverse else T + 1] if call.reverse else base[1:]
    frozen = like.new_empty(T, B, H) if ragged else None
    finals = tuple(like.new_empty(B, H) for _ in step.state)
    states = like.new_empty(T, B, S, H) if call.keep_gates else None
    gates = like.new_empty(T, B, len(step.gates), H) if call.keep_gates else None

    kept = kept_layout(call, plan.saved, item) if save else Layout(item)
    scratch = Layout(item)
    in_place = set()
    operands = {operand_state(step, k) for k in range(len(step.stages))}
    for i, s in enumerate(step.state[1:], 1):
        if not save:
            if i in operands:
                scratch.add(f"seq_{s}", (T + 1) * B * H)
            else:
                in_place.add(s)
    scratch.add("cross", B * plan.cross * H)
    scratch.add("operand", (len(step.stages) + 1) * B * H)
    scratch.add("packed_w", 0 if index is not None else Ga * groups * L * D)
    scratch.add("packed_b", Ga * groups * L)
    scratch.add("packed_u", Gq * groups * L * H)
    scratch.add("packed_c", Gq * groups * L)
    scratch.add("a", (D if index is not None else chunk * B) * Ga * groups * L)
    room = workspace.block(scratch.size)
    block = workspace.block(kept.size) if save else None
    at = scratch.addresses(room) | (kept.addresses(block) if block is not None else {})

    words: dict[str, int] = {
        "T": T, "B": B, "D": D, "H": H, "reverse": call.reverse, "chunk": chunk, "row_parts": row_parts,
        **at,
        "x": address(x), "x_t": x.stride(0) if x is not None else 0, "x_b": x.stride(1) if x is not None else 0,
        "index": address(index), "w_ih": address(w.w_ih), "b_ih": address(w.b_ih), "w_hh": address(w.w_hh),
        "b_hh": address(w.b_hh), "v": address(w.vectors),
        "outputs": address(frozen), "mask": 0 if mask is None else mask.data_ptr() + B, "saved_t": B * plan.saved * H,
        "gate": address(gates), "states": address(states),
    }  # fmt: skip
    starts = [in_rows(s) for s in call.states]
    for i, s in enumerate(step.state):
        words |= {f"start_{s}": starts[i].data_ptr(), f"start_b_{s}": starts[i].stride(0), f"seq_t_{s}": B * H}
        words[f"final_{s}"] = finals[i].data_ptr()
        if i == 0:
            words[f"seq_{s}"] = base.data_ptr()
        elif s in in_place:
            words |= {f"seq_{s}": finals[i].data_ptr(), f"seq_t_{s}": 0}
    launch(kernel, words, threads)
    left = Kept(base, block, mask) if block is not None else None
    return Scanned(outputs if frozen is None else frozen, finals, states, gates, left)


def kept_layout(call: Call, slots: int, item: int) -> Layout:
    """Rooms of the block that both passes know: saved values, and the sequences of all states but the first."""
    layout = Layout(item)
    layout.add("saved", call.T * call.B * slots * call.H)
    for s in call.step.state[1:]:
        layout.add(f"seq_{s}", (call.T + 1) * call.B * call.H)
    return layout


@dataclass(frozen=True)
class Gradients:
    x: Tensor | None
    states: tuple[Tensor, ...]
    weights: Weights


@dataclass(frozen=True)
class Cotangents:
    """dL/d of what `forward` returned, None for what does not matter."""

    outputs: Tensor | None
    finals: tuple[Tensor | None, ...]
    states: Tensor | None
    gates: Tensor | None


def backward(call: Call, kept: Kept, d: Cotangents, *, need_x: bool, need_w_ih: bool, need_w_hh: bool) -> Gradients:
    """Run the backward kernel."""
    step, w, T, B, D, H = call.step, contiguous(call.weights), call.T, call.B, call.D, call.H
    ragged = kept.mask is not None
    plan = backward_plan(step, ragged=ragged, traced=call.keep_gates)
    slots = forward_plan(step, save=True, ragged=ragged, traced=call.keep_gates).saved
    kernel = kernels.backward_kernel(step, REAL[w.w_hh.dtype], ragged=ragged, traced=call.keep_gates)
    L = kernel.lanes
    groups, x_groups = (H + L - 1) // L, (D + L - 1) // L
    Ga, Gq, S, K = len(step.inputs), len(step.products), len(step.state), len(step.stages)
    like, item = w.w_hh, w.w_hh.element_size()
    x, index = inputs(call)
    threads, row_parts = division(call)
    chunk = min(T, -(-CHUNK_ROWS // B))
    rows = chunk * B
    need_x = need_x and index is None

    d_w_hh = torch.empty_like(w.w_hh, memory_format=torch.contiguous_format) if need_w_hh else None
    d_w_ih = like.new_empty(Ga * H, D) if need_w_ih and index is None else None
    table = like.new_zeros(D, Ga * H) if need_w_ih and index is not None else None
    d_x = like.new_empty(T, B, D) if need_x else None
    d_b_ih = None if w.b_ih is None else torch.empty_like(w.b_ih)
    d_b_hh = None if w.b_hh is None else torch.empty_like(w.b_hh)
    d_v = None if w.vectors is None else torch.empty_like(w.vectors)
    d_starts = tuple(like.new_empty(B, H) for _ in step.state)

    scratch = Layout(item)
    scratch.add("carry", B * S * H)
    scratch.add("cross", B * plan.cross * H)
    scratch.add("dq", rows * plan.blocks * H)
    scratch.add("operand", K * rows * H)
    scratch.add("packed_u", Gq * groups * L * H)
    scratch.add("packed_w", Ga * H * x_groups * L if need_x else 0)
    scratch.add("left", plan.blocks * groups * L * rows)
    scratch.add("right", max(groups, 0 if index is not None else x_groups) * L * rows)
    scratch.add("sums", (plan.blocks * H + L - 1) // L * L)
    pad_hh, pad_ih = H % L != 0 and need_w_hh, D % L != 0 and d_w_ih is not None
    scratch.add("pad_w_hh", Gq * H * groups * L if pad_hh else 0)
    scratch.add("pad_w_ih", Ga * H * x_groups * L if pad_ih else 0)
    room = workspace.block(scratch.size)
    at = scratch.addresses(room) | kept_layout(call, slots, item).addresses(kept.block)

    zeros = zero_row(like.dtype, max(H, D) + L).data_ptr()
    d_outputs = None if d.outputs is None else in_rows(d.outputs)
    d_states = None if not call.keep_gates else full(d.states, (T, B, S, H), like)
    d_gates = None if not call.keep_gates else full(d.gates, (T, B, len(step.gates), H), like)
    words: dict[str, int] = {
        "T": T, "B": B, "D": D, "H": H, "reverse": call.reverse, "chunk": chunk, "row_parts": row_parts,
        "accumulate": 0, **at,
        "x": address(x), "x_t": x.stride(0) if x is not None else 0, "x_b": x.stride(1) if x is not None else 0,
        "index": address(index), "w_ih": address(w.w_ih), "w_hh": address(w.w_hh), "v": address(w.vectors),
        "d_outputs": zeros if d_outputs is None else d_outputs.data_ptr(),
        "d_outputs_t": 0 if d_outputs is None else d_outputs.stride(0),
        "d_outputs_b": 0 if d_outputs is None else d_outputs.stride(1),
        "d_states": address(d_states), "gate": address(d_gates),
        "mask": 0 if kept.mask is None else kept.mask.data_ptr() + B,
        "saved_t": B * slots * H, "slots": slots, "no_x": zeros,
        "d_w_hh": address(d_w_hh), "sum_w_hh": at["pad_w_hh"] if pad_hh else address(d_w_hh),
        "sum_w_hh_b": groups * L if pad_hh else H,
        "d_w_ih": address(d_w_ih if index is None else table),
        "sum_w_ih": at["pad_w_ih"] if pad_ih else address(d_w_ih),
        "sum_w_ih_b": x_groups * L if pad_ih else D,
        "table": address(table), "d_x": address(d_x), "d_b_ih": address(d_b_ih), "d_b_hh": address(d_b_hh),
        "d_v": address(d_v),
    }  # fmt: skip
    finals = [None if f is None else in_rows(f) for f in d.finals]
    for i, s in enumerate(step.state):
        final = finals[i]
        words |= {
            f"d_final_{s}": zeros if final is None else final.data_ptr(),
            f"d_final_b_{s}": 0 if final is None else final.stride(0),
            f"d_start_{s}": d_starts[i].data_ptr(),
            f"seq_t_{s}": B * H,
        }
        if i == 0:
            words[f"seq_{s}"] = kept.outputs.data_ptr()
    launch(kernel, words, threads)
    d_w_ih = d_w_ih if table is None else table.t().contiguous()
    return Gradients(d_x, d_starts, Weights(d_w_ih, d_w_hh, d_b_ih, d_b_hh, d_v))  # type: ignore[arg-type]


# -- small parts ------------------------------------------------------------------------------------------------------


def launch(kernel: kernels.Kernel, words: Mapping[str, int], threads: int) -> None:
    """Fill the argument array, with zeroed barrier counters behind it, and run."""
    count = len(kernel.words)
    barriers = -(-count // APART) * APART
    array = (ctypes.c_int64 * (barriers + (threads + 2) * APART))(*(words.get(name, 0) for name in kernel.words))
    array[kernel.words.index("barriers")] = ctypes.addressof(array) + barriers * 8
    kernel(array, threads)


def division(call: Call) -> tuple[int, int]:
    """(threads, parts into which they divide the rows). Threads that have rows of their own never wait for each other,
    but each reads all of U; threads that share rows keep a slice of U in their near cache and meet after every
    product."""
    threads = team.threads()
    B, H, G = call.B, call.H, len(call.step.products)
    per_step = B * H * H * G
    if threads == 1 or per_step * call.T < SMALL_CALL:
        return 1, 1
    u = G * H * H * call.weights.w_hh.element_size()
    if FEW_ROWS * threads <= B and u <= LARGE_U:
        return threads, threads
    if per_step < SMALL_STEP:
        return 1, 1
    return threads, 1


def inputs(call: Call) -> tuple[Tensor | None, Tensor | None]:
    """x as features, with numbers of one row side by side, or as class numbers."""
    if call.indexed:
        return None, call.x.to(torch.int64).contiguous()
    return in_rows(call.x), None


def in_rows(x: Tensor) -> Tensor:
    """`x` with the numbers of a row side by side."""
    return x if x.stride(-1) == 1 or x.shape[-1] == 1 else x.contiguous()


def contiguous(w: Weights) -> Weights:
    return Weights(*(None if t is None else t.contiguous() for t in w.tensors()))  # type: ignore[arg-type]


def full(d: Tensor | None, shape: tuple[int, ...], like: Tensor) -> Tensor:
    return like.new_zeros(shape) if d is None else d.contiguous()


def address(x: Tensor | None) -> int:
    return 0 if x is None else x.data_ptr()


def ragged_mask(call: Call) -> Tensor | None:
    """(T + 2, B) bytes for t = -1 .. T: whether a step is inside its sequence, and whether its state is reset before
    it."""
    if call.lengths is None and call.resets is None:
        return None
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
