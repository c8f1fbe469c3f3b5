"""What kernels and those who call them agree on: so that a kernel found on disk runs without a line of what would have
written it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

from tidegate.engines.cpu.target import Target
from tidegate.engines.plan import Backward, Forward

if TYPE_CHECKING:
    from tidegate.engines.cpu.vector import Int

#: The names of the two kernels in their programs.
FORWARD, BACKWARD = "forward", "backward"
#: 64-bit words between two barrier counters: two cache lines, for processors that fetch lines in pairs.
APART = 16

#: Marks of a step of a sequence in the mask of ragged sequences: it is inside; the state is reset before it.
ACTIVE, RESET = 1, 2

#: Steps of k in a block, and rows or columns in a group.
BLOCK, GROUP = 32, 16
PARTS = 3
#: Numbers that a block takes in a part of a row, in a row, and in a group.
PART, ROW, PANEL = BLOCK // 2, PARTS * BLOCK // 2, PARTS * BLOCK // 2 * GROUP

#: What programs call besides: on every processor, and on one with a matrix unit.
SHARED = ("product", "pack_transposed", "pack_rows", "scatter_rows")
SHARED_MATRIX = ("matrix_product", "matrix_done", "split_rows", "pack_pair", "pack_right", "pack_left")

N = TypeVar("N", int, "Int")


def blocks(k: N) -> N:
    """Blocks that k steps need."""
    return (k + (BLOCK - 1)) // BLOCK


def matrix_usable(target: Target, real: str) -> bool:
    return target.matrix and real == "float"


def symbol(real: str, name: str) -> str:
    """The name by which other modules call a function that all kernels share."""
    return f"tidegate_{real}_{name}"


class Products(NamedTuple):
    """Which products run on the matrix unit: the recurrent ones, and those over all rows of a chunk."""

    recurrent: bool
    of_chunks: bool


def forward_words(plan: Forward) -> list[str]:
    """The names of the kernel's arguments, in order. Strides count numbers; `_t` is per step, `_b` per sequence."""
    states = [f"{kind}_{s}" for s in plan.step.state for kind in ("start", "start_b", "seq", "seq_t", "final")]
    return [
        "T", "B", "D", "H", "reverse", "chunk", "row_parts", "barriers",
        "x", "x_t", "x_b", "index", "w_ih", "b_ih", "w_hh", "b_hh", "v", *states,
        "outputs", "mask", "saved", "cross", "operand", "gate", "states",
        "packed_w", "packed_b", "packed_u", "packed_c", "a", "x_parts",
    ]  # fmt: skip


def backward_words(plan: Backward) -> list[str]:
    """The names of the kernel's arguments, in order. Strides count numbers; `_t` is per step, `_b` per sequence."""
    kinds = ("seq", "seq_t", "d_final", "d_final_b", "d_start")
    states = [f"{kind}_{s}" for s in plan.step.state for kind in kinds]
    return [
        "T", "B", "D", "H", "reverse", "chunk", "row_parts", "barriers",
        "x", "x_t", "x_b", "index", "w_ih", "w_hh", "v", *states,
        "d_outputs", "d_outputs_t", "d_outputs_b", "d_states", "gate", "mask", "saved",
        "carry", "cross", "dq", "operand", "packed_u", "packed_w", "left", "right", "no_x",
        "d_w_hh", "sum_w_hh", "sum_w_hh_b", "d_w_ih", "sum_w_ih", "sum_w_ih_b", "table", "d_x", "sums",
        "d_b_ih", "d_b_hh", "d_v", "parts", "x_parts",
    ]  # fmt: skip
