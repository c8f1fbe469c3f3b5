"""What the calls of one shape have in common: kernel, memory layout, division among threads, and most of the arguments.

A frame is made once for a shape and kept, so that a call has little to do but to fill in addresses.
"""

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from time import perf_counter

import torch

from tidegate.calculus import Step
from tidegate.engines.cpu import kernels
from tidegate.engines.cpu.abi import APART, GROUP, PANEL, ROW, Products, blocks
from tidegate.engines.cpu.pace import Pace
from tidegate.engines.cpu.target import Target
from tidegate.engines.cpu.workspace import Layout
from tidegate.engines.plan import backward_plan, forward_plan, operand_state

REAL = {torch.float32: "float", torch.float64: "double"}

#: Bytes of inputs' shares that are computed ahead of the recurrence, so that they are still in the cache when it comes.
AHEAD = 1 << 20
#: Rows (steps times sequences) in one chunk of the backward pass: enough for an efficient product of weight gradients.
CHUNK_ROWS = 384
#: Multiplications below which a second thread costs more than it saves, for a whole call and for one step.
SMALL_CALL, SMALL_STEP = 1 << 20, 1 << 17
#: Rows a thread should have when rows are shared out, and the bytes of U that it may then have to itself.
FEW_ROWS, LARGE_U = 8, 3 << 19
#: From how many hidden units and inputs, sequences (recurrent products) and rows (products over a chunk) on the matrix
#: unit pays; rows that a thread should have there, and bytes of U that it may have to itself, before it is in parts.
MATRIX_UNITS, MATRIX_INPUTS, MATRIX_BATCH, MATRIX_ROWS = 64, 128, 16, 64
MATRIX_FEW_ROWS, MATRIX_LARGE_U = 16, 9 << 17


@dataclass(frozen=True)
class Shape:
    """All that decides how a call is run, except addresses and strides."""

    step: Step
    dtype: torch.dtype
    T: int
    B: int
    D: int
    H: int
    reverse: bool
    indexed: bool
    ragged: bool
    traced: bool
    threads: int
    target: Target


@dataclass(frozen=True, eq=False)
class LaunchPlan:
    """`room` and `kept` are the layouts of scratch memory and of what the forward pass leaves for the backward pass."""

    kernel: kernels.Kernel
    pace: Pace
    room: Layout
    kept: Layout
    at: Mapping[str, int]
    template: ctypes.Array

    def run(self, words: Mapping[str, int], room: int, kept: int) -> None:
        """Run the kernel with these words besides the fixed ones, and memory at these addresses."""
        array = type(self.template).from_buffer_copy(self.template)
        at = self.at
        for base, layout in ((room, self.room), (kept, self.kept)):
            for name, offset in layout.offset.items():
                array[at[name]] = base + offset
        for name, value in words.items():
            array[at[name]] = value
        array[at["barriers"]] += ctypes.addressof(array)
        threads, started = self.pace.threads(), perf_counter()
        self.kernel(array, threads)
        self.pace.took(threads, perf_counter() - started)


def make_launch_plan(
    kernel: kernels.Kernel, shape: Shape, room: Layout, kept: Layout, fixed: Mapping[str, int], *, on_matrix: bool
) -> LaunchPlan:
    threads, row_parts = division(shape, on_matrix=on_matrix)
    at = {name: i for i, name in enumerate(kernel.words)}
    barriers = -(-len(at) // APART) * APART
    template = (ctypes.c_int64 * (barriers + (threads + 2) * APART))()
    sizes = {"T": shape.T, "B": shape.B, "D": shape.D, "H": shape.H, "reverse": shape.reverse}
    for name, value in {**sizes, "row_parts": row_parts, "barriers": barriers * 8, **fixed}.items():
        template[at[name]] = value
    return LaunchPlan(kernel, Pace(threads), room, kept, at, template)


def division(shape: Shape, *, on_matrix: bool) -> tuple[int, int]:
    """(threads, parts into which they divide the rows). Threads that have rows of their own never wait for each other,
    but each reads all of U; threads that share rows keep a slice of U in their near cache and meet after every
    product."""
    threads, B, H, G = shape.threads, shape.B, shape.H, len(shape.step.products)
    per_step = B * H * H * G
    if threads == 1 or per_step * shape.T < SMALL_CALL:
        return 1, 1
    few, large = (MATRIX_FEW_ROWS, MATRIX_LARGE_U) if on_matrix else (FEW_ROWS, LARGE_U)
    if threads * few <= B and G * H * H * shape.dtype.itemsize <= large:
        return threads, threads
    if per_step < SMALL_STEP:
        return 1, 1
    return threads, 1


def on_matrix_unit(shape: Shape) -> bool:
    return shape.target.matrix and shape.dtype is torch.float32 and shape.H >= MATRIX_UNITS


def matrix_inputs(shape: Shape) -> bool:
    """Whether inputs are projected on the matrix unit. The batch has no say, nor has the number of steps: a sequence's
    bits must not depend on what travels with it. For the same reason the recurrent product of the forward pass never
    runs there: it would be slower for few sequences."""
    return on_matrix_unit(shape) and not shape.indexed and shape.D >= MATRIX_INPUTS


def matrix_gradients(shape: Shape, rows: int) -> Products:
    able = on_matrix_unit(shape)
    return Products(able and shape.B >= MATRIX_BATCH, able and rows >= MATRIX_ROWS)


def panels(columns: int, k: int) -> int:
    """Numbers in the matrix unit's panels of so many columns (a multiple of 16) and steps of k."""
    return columns // GROUP * blocks(k) * PANEL


def kept_layout(shape: Shape, saved: int) -> Layout:
    """What both passes know: `saved` numbers a row, and the sequences of all states but the first."""
    layout = Layout(shape.dtype.itemsize)
    layout.add("saved", shape.T * shape.B * saved)
    for s in shape.step.state[1:]:
        layout.add(f"seq_{s}", (shape.T + 1) * shape.B * shape.H)
    return layout


@lru_cache(maxsize=512)
def forward_launch(shape: Shape, *, save: bool) -> LaunchPlan:
    step, T, B, D, H = shape.step, shape.T, shape.B, shape.D, shape.H
    plan = forward_plan(step, save=save, ragged=shape.ragged, traced=shape.traced)
    on_matrix = matrix_inputs(shape)
    kernel = kernels.forward_kernel(
        step, shape.target, REAL[shape.dtype],
        save=save, ragged=shape.ragged, traced=shape.traced, on_matrix=on_matrix,
    )  # fmt: skip
    L, item = kernel.lanes, shape.dtype.itemsize
    padded = (H + L - 1) // L * L
    Ga, Gq = len(step.inputs), len(step.products)
    chunk = T if shape.indexed else min(T, max(1, AHEAD // (B * Ga * H * item), -(-64 // B)))
    room = Layout(item)
    fixed = {"chunk": chunk}
    in_products = {operand_state(step, k) for k in range(len(step.stages))}
    for i, s in enumerate(step.state):
        in_place = not save and i > 0 and i not in in_products
        fixed[f"seq_t_{s}"] = 0 if in_place else B * H
        if not save and i > 0 and not in_place:
            room.add(f"seq_{s}", (T + 1) * B * H)
    room.add("cross", B * plan.cross * H)
    room.add("operand", (len(step.stages) + 1) * B * H)
    room.add("packed_w", 0 if shape.indexed else Ga * (panels(padded, D) if on_matrix else padded * D))
    room.add("x_parts", chunk * B * blocks(D) * ROW if on_matrix else 0)
    room.add("packed_b", Ga * padded)
    room.add("packed_u", Gq * padded * H)
    room.add("packed_c", Gq * padded)
    room.add("a", (D if shape.indexed else chunk * B) * Ga * padded)
    kept = kept_layout(shape, plan.saved * padded) if save else Layout(item)
    return make_launch_plan(kernel, shape, room, kept, fixed, on_matrix=False)


@lru_cache(maxsize=512)
def backward_launch(shape: Shape, *, need_x: bool, need_w_ih: bool) -> LaunchPlan:
    step, T, B, D, H = shape.step, shape.T, shape.B, shape.D, shape.H
    plan = backward_plan(step, ragged=shape.ragged, traced=shape.traced)
    chunk = min(T, -(-CHUNK_ROWS // B))
    rows = chunk * B
    on_matrix = matrix_gradients(shape, rows)
    kernel = kernels.backward_kernel(
        step, shape.target, REAL[shape.dtype], ragged=shape.ragged, traced=shape.traced, on_matrix=on_matrix
    )
    L, item = kernel.lanes, shape.dtype.itemsize
    padded, padded_x = (H + L - 1) // L * L, (D + L - 1) // L * L
    Ga, Gq, K = len(step.inputs), len(step.products), len(step.stages)
    dense = need_w_ih and not shape.indexed
    room = Layout(item)
    room.add("carry", B * len(step.state) * H)
    room.add("cross", B * plan.cross * H)
    room.add("dq", rows * plan.blocks * H)
    room.add("operand", K * rows * H)
    right = K * padded + (padded_x if dense else 0)
    room.add("packed_u", Gq * (panels(padded, H) if on_matrix.recurrent else padded * H))
    room.add("parts", 2 * B * Gq * blocks(H) * ROW if on_matrix.recurrent else 0)
    if on_matrix.of_chunks:
        room.add("packed_w", Ga * panels(padded_x, H) if need_x else 0)
        room.add("x_parts", rows * Ga * blocks(H) * ROW if need_x else 0)
        room.add("left", plan.blocks * panels(padded, rows))
        room.add("right", panels(right, rows))
    else:
        room.add("packed_w", Ga * H * padded_x if need_x else 0)
        room.add("left", plan.blocks * padded * rows)
        room.add("right", right * rows)
    room.add("sums", plan.blocks * H + L)
    fixed = {"chunk": chunk, "sum_w_hh_b": padded, "sum_w_ih_b": padded_x}
    if padded != H:
        room.add("sum_w_hh", Gq * H * padded)
    if dense and padded_x != D:
        room.add("sum_w_ih", Ga * H * padded_x)
    fixed |= {f"seq_t_{s}": B * H for s in step.state}
    kept = kept_layout(shape, plan.saved * padded)
    return make_launch_plan(kernel, shape, room, kept, fixed, on_matrix=on_matrix.recurrent)
