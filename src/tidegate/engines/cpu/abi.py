"""The ABI of the kernels: the names, order and shapes of their arguments, and the functions that they call.

A kernel takes one argument, an array of 64-bit words, each an integer or the address of numbers. `FORWARD_ARGUMENTS`
and `BACKWARD_ARGUMENTS` document every word; numbers are of the arithmetic type and row-major unless stated otherwise.
Kernels for bfloat16 tensors read and write the arguments in CALLERS as bfloat16 numbers: see `bfloats`.
This file imports no module that generates kernels, so a kernel from the disk cache runs without loading them.

Letters: T steps, B sequences, D inputs, H units, Ga gates with an input, Gq gates with a recurrent product, K stages,
S states, V vectors, G gates. L numbers fill a vector register; U = ceil(H / L) and X = ceil(D / L) count groups of L
units and inputs. C is the number of steps in a chunk, R = C * B its rows. "saved" and "cross" are the values that
the plan of the step (`engines.plan`) keeps; N is the number of blocks in dq.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from tidegate.calculus import Step
from tidegate.engines.cpu.target import Target
from tidegate.engines.plan import Backward, Forward

if TYPE_CHECKING:
    from tidegate.engines.cpu.vector import Int

#: The names of the kernels in their programs: the two passes, and packing the weights for the forward pass.
FORWARD, BACKWARD, PACK = "forward", "backward", "pack_weights"

#: Arguments of every kernel.
COMMON: Mapping[str, str] = {
    "T": "number of steps",
    "B": "number of sequences",
    "D": "number of inputs, or of classes where x holds class indices",
    "H": "number of units",
    "reverse": "1 to run from step T-1 to step 0, else 0",
    "chunk": "C, steps whose inputs are projected together (forward) or whose gradients are (backward)",
    "row_teams": "number of thread groups that divide the sequences; must divide the number of threads, else 1 is used",
    "barriers": "(row_teams + 1, 16) 64-bit counters that start at 0",
    "x": "(T, B, D) with the strides x_t, x_b, 1; null where x holds class indices",
    "x_t": "stride of x from step to step, in numbers",
    "x_b": "stride of x from sequence to sequence, in numbers",
    "index": "(T, B) int64 class indices, 0 <= index < D; null where x holds numbers",
    "direct": "for class indices: 1 to read the columns of w_ih, and to add to those of d_w_ih, that occur in x, where "
    "they lie; 0 for tables with a row for each class",
    "unpacked": "1 to multiply by the weights where they lie, 0 to pack them first",
    "w_ih": "(Ga*H, D) input weights",
    "w_hh": "(Gq*H, H) recurrent weights",
    "v": "(V, H) per-unit vectors",
    "mask": "(T, B) bytes with a readable row before and after: bits ACTIVE and RESET; null without lengths and resets",
    "saved": "(T, B, U, saved, L) values that the forward pass leaves for the backward pass",
    "cross": "(B, cross, H) values that later phases of the same step read",
    "operand": "forward (K + 1, B, H), backward (K, C, B, H): left sides of recurrent products that are not states",
    "gate": "forward (T, B, G, H) gate values; backward gradients with respect to them; null unless traced",
}
#: For every state s, with the suffix _s.
COMMON_STATES: Mapping[str, str] = {
    "seq": "(T + 1, B, H) the state before every step and after the last, in the order of the steps' indices",
    "seq_t": "stride of seq from step to step, in numbers; 0 where only the latest state is kept",
}

FORWARD_ARGUMENTS: Mapping[str, str] = COMMON | {
    "b_ih": "(Ga*H,) input biases, or null",
    "b_hh": "(Gq*H,) recurrent biases, or null",
    "outputs": "(T, B, H) outputs; written only with a mask, or as bfloat16 numbers: without these, seq of the first "
    "state holds the outputs",
    "states": "(T, B, S, H) the states after every step; null unless traced",
    "prepared": "1 if the packed weights below are filled already, 0 to fill them first",
    "packed_w": "(U, Ga, D, L) input weights, or (U, Ga, panel) of terms or pairs",
    "packed_b": "(U, Ga, L) input biases",
    "packed_u": "for each stage (U, gates of the stage, H, L) recurrent weights, or (U, gates, panel) of pairs",
    "packed_c": "for each stage (U, gates of the stage, L) recurrent biases",
    "a": "(C, B, U, Ga, L) projected inputs of a chunk; (D, U, Ga, L), one row per class, for class indices not direct",
    "x_terms": "(R, D) rows of x as bfloat16 terms or pairs",
    "left_pairs": "(K, 2, B, H) left sides of the recurrent products of even and odd steps, as pairs",
}
FORWARD_STATES: Mapping[str, str] = {
    "start": "(B, H) initial state with the strides start_b, 1",
    "start_b": "stride of start from sequence to sequence, in numbers",
    "final": "(B, H) final state",
    **COMMON_STATES,
}

BACKWARD_ARGUMENTS: Mapping[str, str] = COMMON | {
    "d_outputs": "(T, B, H) with the strides d_outputs_t, d_outputs_b, 1: gradients with respect to the outputs",
    "d_outputs_t": "stride of d_outputs from step to step, in numbers; 0 for gradients that are all zero",
    "d_outputs_b": "stride of d_outputs from sequence to sequence, in numbers",
    "d_states": "(T, B, S, H) gradients with respect to the states after every step; null unless traced",
    "carry": "(B, S, H) gradients with respect to the states, carried from step to step",
    "dq": "(C, B, N, H) gradients with respect to the recurrent products, then to other inputs of gates and vectors",
    "packed_u": "for each stage (U, gates of the stage * H, L) transposed recurrent weights",
    "packed_w": "(X, Ga*H, L) transposed input weights",
    "left": "(N, U, R, L) blocks of dq as left sides of the products that give weight gradients",
    "right": "(K*U + X, R, L) operands and inputs as right sides of those products",
    "no_x": "zeros, at least max(H, D) of them",
    "d_w_hh": "(Gq*H, H) gradients with respect to w_hh; null if not needed",
    "sum_w_hh": "(Gq*H, sum_w_hh_b) where they are added up: d_w_hh itself, or rows padded to whole vectors",
    "sum_w_hh_b": "stride of sum_w_hh from row to row, in numbers",
    "d_w_ih": "(Ga*H, D) gradients with respect to w_ih; null if not needed",
    "sum_w_ih": "(Ga*H, sum_w_ih_b) where they are added up",
    "sum_w_ih_b": "stride of sum_w_ih from row to row, in numbers",
    "table": "(D, Ga*H) gradients with respect to w_ih, transposed, where x holds class indices; if direct, (Ga*H, D), "
    "not transposed; starts at 0",
    "d_x": "(T, B, D) gradients with respect to x; null if not needed",
    "sums": "(N*H + L,) sums of dq over all rows",
    "d_b_ih": "(Ga*H,) gradients with respect to b_ih, or null",
    "d_b_hh": "(Gq*H,) gradients with respect to b_hh, or null",
    "d_v": "(V*H,) gradients with respect to v, or null",
    "dq_terms": "(2, B, Gq, H) dq of the latest two steps as bfloat16 terms or pairs",
    "x_terms": "(R, Ga, H) gradients with respect to the projected inputs as bfloat16 terms or pairs",
}
BACKWARD_STATES: Mapping[str, str] = COMMON_STATES | {
    "d_final": "(B, H) with the strides d_final_b, 1: gradients with respect to the final state",
    "d_final_b": "stride of d_final from sequence to sequence, in numbers; 0 for gradients that are all zero",
    "d_start": "(B, H) gradients with respect to the initial state",
}

#: The arguments that are tensors of the caller: what precedes the dot in the name of each.
CALLERS = frozenset({
    "x", "w_ih", "w_hh", "v", "b_ih", "b_hh", "outputs", "start", "final",
    "d_outputs", "d_final", "d_x", "d_start", "d_w_ih", "d_w_hh", "d_b_ih", "d_b_hh", "d_v",
})  # fmt: skip

#: 64-bit words between two barrier counters: two cache lines, for processors that fetch lines in pairs.
APART = 16

#: The matrix unit multiplies blocks of BLOCK steps of k, GROUP rows or columns at a time, and a float32 number there is
#: the sum of TERMS bfloat16 numbers.
BLOCK, GROUP = 32, 16
TERMS = 3
#: Size of a block, counted in float32 numbers: in one term of a row, in a row, and in a group.
TERM, ROW, PANEL = BLOCK // 2, TERMS * BLOCK // 2, TERMS * BLOCK // 2 * GROUP

#: Functions that all kernels call: on every processor, and on one with a matrix unit.
SHARED = (
    "product",
    "pack_transposed",
    "pack_rows",
    "gather_column",
    "scatter_rows",
    "scatter_columns",
    "unpacked_product",
)
SHARED_MATRIX = ("matrix_product", "matrix_done", "split_rows", "pack_pair", "pack_right", "pack_left")
#: Functions for products of pairs of bfloat16 numbers, which only kernels that have such products call.
SHARED_PAIRS = (
    "pairs_product",
    "pairs_unpacked_product",
    "pairs_split_rows",
    "pairs_pack_pair",
    "pairs_pack_right",
    "pairs_pack_left",
)
#: Those of them that read bfloat16 numbers, which only kernels for bfloat16 tensors call.
SHARED_BFLOATS = (
    "pairs_bfloats_unpacked_product",
    "pairs_bfloats_split_rows",
    "pairs_bfloats_pack_pair",
    "pairs_bfloats_pack_right",
    "bfloats_pack_transposed",
    "bfloats_gather_column",
)

N = TypeVar("N", int, "Int")


def blocks(k: N) -> N:
    """The number of blocks that `k` steps take."""
    return (k + (BLOCK - 1)) // BLOCK


def pairs(k: N) -> N:
    """The number of pairs that `k` numbers take, up to whole groups of numbers."""
    return (k + (GROUP - 1)) // GROUP * (GROUP // 2)


def row_size(form: Form, k: int) -> int:
    """The size of a left side of `k` values in a form that is not NUMBERS, counted in numbers."""
    return blocks(k) * ROW if form is Form.TERMS else pairs(k)


def panel_size(form: Form, columns: int, k: int) -> int:
    """The size of the panels of so many columns, a multiple of GROUP."""
    return columns // GROUP * (blocks(k) * PANEL if form is Form.TERMS else pairs(k) * GROUP)


def matrix_usable(target: Target, real: str) -> bool:
    return target.matrix and real == "float"


def symbol(real: str, name: str) -> str:
    """The name by which other modules call a function that all kernels share."""
    return f"tidegate_{real}_{name}"


class Form(Enum):
    """What a product multiplies: numbers, by multiply-adds; terms of numbers, on the matrix unit (`matrix`); or numbers
    rounded to bfloat16, in pairs (`pairs`)."""

    NUMBERS = "numbers"
    TERMS = "terms"
    PAIRS = "pairs"


class Products(NamedTuple):
    """The forms of a kernel's products: of the recurrent ones, and of those over all rows of a chunk."""

    recurrent: Form = Form.NUMBERS
    of_chunks: Form = Form.NUMBERS

    def __str__(self) -> str:
        return f"{self.recurrent.value} {self.of_chunks.value}"


def forward_arguments(plan: Forward) -> list[str]:
    """The names of the forward kernel's arguments, in order. Those of a state are called argument.state: no name of a
    state has a dot, so no two arguments have the same name. The caller's tensors come first (`addressed`)."""
    states = (f"{name}.{s}" for s in plan.step.state for name in FORWARD_STATES)
    return list(dict.fromkeys([*addressed(plan.step), *FORWARD_ARGUMENTS, *states]))


def addressed(step: Step) -> list[str]:
    """The arguments of the forward kernel that are the addresses of tensors of a call without lengths and resets."""
    starts, finals = ([f"{name}.{s}" for s in step.state] for name in ("start", "final"))
    return ["index", "x", *starts, "w_ih", "w_hh", "b_ih", "b_hh", "v", *finals]


def backward_arguments(plan: Backward) -> list[str]:
    """The names of the backward kernel's arguments, in order; those of a state are called argument.state."""
    return [*BACKWARD_ARGUMENTS, *(f"{name}.{s}" for s in plan.step.state for name in BACKWARD_STATES)]
