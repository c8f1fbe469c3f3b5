"""Launch plans: the kernel, memory layout, division among threads and most of the arguments, shared by all calls of
one shape.

A launch plan is made once for each shape and cached, so a call only fills in addresses.
"""

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from time import perf_counter

import torch

from tidegate.calculus import Step
from tidegate.engines.cpu import kernels
from tidegate.engines.cpu.abi import APART, PACK, Form, Products, panel_size, row_size
from tidegate.engines.cpu.pace import Pace
from tidegate.engines.cpu.target import Target
from tidegate.engines.cpu.workspace import Layout
from tidegate.engines.plan import backward_plan, forward_plan, operand_state

REAL = {torch.float32: "float", torch.float64: "double"}

#: Bytes of projected inputs that are computed ahead of the recurrence, so that they are still in the cache when
#: they are read.
AHEAD = 1 << 20
#: Rows (steps times sequences) in one chunk of the backward pass: enough for an efficient product of weight gradients.
CHUNK_ROWS = 384
#: Columns of W_ih are read and written where they lie if the classes are this many times the class indices of a call or
#: more: a column is spread over memory, so it takes as long as several columns of a complete transposition.
CLASSES = 8
#: Multiplications below which a second thread costs more than it saves: in all of a call, and in one step.
SMALL_CALL, SMALL_STEP = 1 << 20, 1 << 17
#: Threads divide the sequences if each gets at least FEW_ROWS and the recurrent weights have at most LARGE_U bytes.
FEW_ROWS, LARGE_U = 8, 3 << 19
#: Least units, inputs, sequences (for recurrent products) and rows (for products over a chunk) for which the matrix
#: unit is used; then FEW_ROWS and LARGE_U for calls that use it.
MATRIX_UNITS, MATRIX_INPUTS, MATRIX_BATCH, MATRIX_ROWS = 64, 128, 16, 64
MATRIX_FEW_ROWS, MATRIX_LARGE_U = 16, 9 << 17
#: Weights are not packed for calls that multiply at most FEW_USES times at most TALLEST rows by them.
TALLEST, FEW_USES = 8, 2


@dataclass(frozen=True)
class Shape:
    """Everything that determines how a call is run, except addresses and strides. `precision` is that of float32
    products, as in Call, and "medium" only where the target has pairs. `stored`: "bfloat" where the caller's tensors
    are bfloat16, None where they are of the arithmetic type."""

    step: Step
    arithmetic: torch.dtype
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
    precision: str = "highest"
    stored: str | None = None


@dataclass(frozen=True)
class PackedForm:
    """All that decides the layout of packed weights."""

    step: Step
    arithmetic: torch.dtype
    D: int
    H: int
    indexed: bool
    target: Target
    products: Products

    def __str__(self) -> str:
        x = "class indices" if self.indexed else "numbers"
        return f"{self.step.name} in {self.arithmetic} with D = {self.D}, H = {self.H} and {x} as input"


@dataclass(frozen=True, eq=False)
class LaunchPlan:
    """`scratch`, `packed` and `kept` are the layouts of scratch memory, of packed weights, and of what the forward pass
    leaves for the backward pass; `packed_form` is the form of the packed weights, None in a backward pass. `at` is the
    index of each argument, `template` the arguments that are the same for every call."""

    kernel: kernels.Kernel
    pace: Pace
    scratch: Layout
    packed: Layout
    kept: Layout
    packed_form: PackedForm | None
    at: Mapping[str, int]
    template: ctypes.Array

    def launch(self, array: ctypes.Array) -> None:
        """Run the kernel with all of its arguments."""
        threads, started = self.pace.threads(), perf_counter()
        self.kernel(array, threads)
        self.pace.took(threads, perf_counter() - started)

    def pack(self, arguments: Mapping[str, int], packed: int) -> None:
        """Fill the packed weights at this address."""
        self.kernel.entry(PACK)(self.filled(arguments, (packed, self.packed)), 1)

    def filled(self, arguments: Mapping[str, int], *memory: tuple[int, Layout]) -> ctypes.Array:
        """The template with these arguments, and with the arrays of layouts at these addresses (0 for none)."""
        array = type(self.template).from_buffer_copy(self.template)
        at = self.at
        for base, layout in memory:
            if base:
                for name, offset in layout.offset.items():
                    array[at[name]] = base + offset
        for name, value in arguments.items():
            array[at[name]] = value
        array[at["barriers"]] += ctypes.addressof(array)
        return array


def make_launch_plan(
    kernel: kernels.Kernel,
    shape: Shape,
    scratch: Layout,
    packed: Layout,
    kept: Layout,
    fixed: Mapping[str, int],
    *,
    recurrent: Form = Form.NUMBERS,
    packed_form: PackedForm | None = None,
) -> LaunchPlan:
    threads, row_teams = division(shape, recurrent)
    at = {name: i for i, name in enumerate(kernel.arguments)}
    barriers = -(-len(at) // APART) * APART
    template = (ctypes.c_int64 * (barriers + (threads + 2) * APART))()
    sizes = {"T": shape.T, "B": shape.B, "D": shape.D, "H": shape.H, "reverse": shape.reverse}
    for name, value in {**sizes, "row_teams": row_teams, "barriers": barriers * 8, **fixed}.items():
        template[at[name]] = value
    return LaunchPlan(kernel, Pace(threads), scratch, packed, kept, packed_form, at, template)


def division(shape: Shape, recurrent: Form) -> tuple[int, int]:
    """(threads, groups of them that divide the sequences). Threads with sequences of their own never wait for each
    other, but each reads all of U; threads that work on the same sequences keep a slice of U in their L2 cache and wait
    for each other after every product."""
    threads, B, H, G = shape.threads, shape.B, shape.H, len(shape.step.products)
    per_step = B * H * H * G
    if threads == 1 or per_step * shape.T < SMALL_CALL:
        return 1, 1
    few, large = (MATRIX_FEW_ROWS, MATRIX_LARGE_U) if recurrent is Form.TERMS else (FEW_ROWS, LARGE_U)
    if threads * few <= B and G * H * H * shape.arithmetic.itemsize <= large:
        return threads, threads
    if per_step < SMALL_STEP:
        return 1, 1
    return threads, 1


def on_matrix_unit(shape: Shape) -> bool:
    return shape.target.matrix and shape.arithmetic is torch.float32 and shape.H >= MATRIX_UNITS


def matrix_inputs(shape: Shape) -> bool:
    """Whether inputs are projected on the matrix unit. The rule does not use B or T: the bits of a sequence must not
    depend on the rest of its batch. For the same reason the recurrent product of the forward pass never runs there: it
    is slower there for few sequences, and the choice may not depend on B."""
    return on_matrix_unit(shape) and not shape.indexed and shape.D >= MATRIX_INPUTS


def forward_products(shape: Shape) -> Products:
    """The forms of the products of the forward pass, by rules that do not use B or T."""
    form = Form.PAIRS if shape.precision == "medium" else Form.NUMBERS
    return Products(form, Form.TERMS if matrix_inputs(shape) else form)


def backward_products(shape: Shape, rows: int) -> Products:
    """The forms of the products of the backward pass."""
    form = Form.PAIRS if shape.precision == "medium" else Form.NUMBERS
    able = on_matrix_unit(shape)
    return Products(
        Form.TERMS if able and shape.B >= MATRIX_BATCH else form, Form.TERMS if able and rows >= MATRIX_ROWS else form
    )


def kept_layout(shape: Shape, saved: int) -> Layout:
    """What the forward pass leaves for the backward pass: `saved` numbers a row, and the sequences of all states but
    the first, which has memory of its own."""
    layout = Layout(shape.arithmetic.itemsize)
    layout.add("saved", shape.T * shape.B * saved)
    for s in shape.step.state[1:]:
        layout.add(f"seq.{s}", (shape.T + 1) * shape.B * shape.H)
    return layout


def direct(shape: Shape) -> bool:
    """Whether columns of W_ih are read and written where they lie. Without effect on the bits."""
    return shape.indexed and shape.T * shape.B * CLASSES <= shape.D


def few_uses(shape: Shape) -> bool:
    """Whether a pass reads its weights so few times that packing them costs more than it saves. Without effect on the
    bits."""
    return shape.T * -(-shape.B // TALLEST) <= FEW_USES


def whole_rows(shape: Shape, lanes: int) -> bool:
    """Whether the backward pass can multiply by rows of the weights where they lie: they are whole vectors, and those
    of the gates of a stage are one after the other."""
    products = shape.step.products
    at = [[products.index(gate) for gate in stage.gates] for stage in shape.step.stages]
    together = all(rows == list(range(rows[0], rows[0] + len(rows))) for rows in at)
    return together and shape.H % lanes == 0 and shape.D % lanes == 0


@lru_cache(maxsize=512)
def forward_launch(shape: Shape, *, save: bool, prepared: bool = False) -> LaunchPlan:
    """The launch plan of a forward pass; with `prepared` the weights are packed for many calls."""
    step, T, B, D, H = shape.step, shape.T, shape.B, shape.D, shape.H
    plan = forward_plan(step, save=save, ragged=shape.ragged, traced=shape.traced)
    products = forward_products(shape)
    kernel = kernels.forward_kernel(
        step, shape.target, REAL[shape.arithmetic],
        save=save, ragged=shape.ragged, traced=shape.traced, products=products, stored=shape.stored,
    )  # fmt: skip
    L, item = kernel.lanes, shape.arithmetic.itemsize
    padded = (H + L - 1) // L * L
    Ga, Gq = len(step.inputs), len(step.products)
    table = shape.indexed and (prepared or not direct(shape))
    chunk = T if table else min(T, max(1, AHEAD // (B * Ga * H * item), -(-64 // B)))
    scratch, packed = Layout(item), Layout(item)
    unpacked = few_uses(shape) and not prepared
    fixed = {"chunk": chunk, "direct": int(shape.indexed and not table), "unpacked": int(unpacked)}
    in_products = {operand_state(step, k) for k in range(len(step.stages))}
    for i, s in enumerate(step.state):
        in_place = not save and i > 0 and i not in in_products
        fixed[f"seq_t.{s}"] = 0 if in_place else B * H
        if not save and i > 0 and not in_place:
            scratch.add(f"seq.{s}", (T + 1) * B * H)
        elif in_place and shape.stored is not None:  # the memory of the final state is too small
            scratch.add(f"seq.{s}", B * H)
    scratch.add("cross", B * plan.cross * H)
    scratch.add("operand", (len(step.stages) + 1) * B * H)
    numbers, inputs = products.recurrent is Form.NUMBERS, products.of_chunks
    dense = padded * D if inputs is Form.NUMBERS else panel_size(inputs, padded, D)
    packed.add("packed_w", 0 if shape.indexed or (unpacked and inputs is not Form.TERMS) else Ga * dense)
    scratch.add("x_terms", 0 if shape.indexed or inputs is Form.NUMBERS else chunk * B * row_size(inputs, D))
    scratch.add("left_pairs", 0 if numbers else len(step.stages) * 2 * B * row_size(products.recurrent, H))
    packed.add("packed_b", Ga * padded)
    per_gate = padded * H if numbers else panel_size(products.recurrent, padded, H)
    packed.add("packed_u", 0 if unpacked else Gq * per_gate)
    packed.add("packed_c", Gq * padded)
    # A table of the projections of all classes is packed from the weights alone.
    (packed if table else scratch).add("a", (D if table else chunk * B) * Ga * padded)
    kept = kept_layout(shape, plan.saved * padded) if save else Layout(item)
    form = PackedForm(step, shape.arithmetic, D, H, shape.indexed, shape.target, products)
    return make_launch_plan(kernel, shape, scratch, packed, kept, fixed, packed_form=form)


@lru_cache(maxsize=512)
def backward_launch(shape: Shape, *, need_x: bool, need_w_ih: bool) -> LaunchPlan:
    step, T, B, D, H = shape.step, shape.T, shape.B, shape.D, shape.H
    plan = backward_plan(step, ragged=shape.ragged, traced=shape.traced)
    chunk = min(T, -(-CHUNK_ROWS // B))
    rows = chunk * B
    products = backward_products(shape, rows)
    recurrent, of_chunks = products
    kernel = kernels.backward_kernel(
        step, shape.target, REAL[shape.arithmetic],
        ragged=shape.ragged, traced=shape.traced, products=products, stored=shape.stored,
    )  # fmt: skip
    L, item = kernel.lanes, shape.arithmetic.itemsize
    padded, padded_x = (H + L - 1) // L * L, (D + L - 1) // L * L
    Ga, Gq, K = len(step.inputs), len(step.products), len(step.stages)
    dense = need_w_ih and not shape.indexed
    scratch = Layout(item)
    scratch.add("carry", B * len(step.state) * H)
    scratch.add("cross", B * plan.cross * H)
    scratch.add("dq", rows * plan.blocks * H)
    scratch.add("operand", K * rows * H)
    right = K * padded + (padded_x if dense else 0)
    unpacked = few_uses(shape) and whole_rows(shape, L) and set(products) == {Form.NUMBERS}
    if recurrent is Form.NUMBERS:
        scratch.add("packed_u", 0 if unpacked else Gq * padded * H)
    else:
        scratch.add("packed_u", Gq * panel_size(recurrent, padded, H))
        scratch.add("dq_terms", 2 * B * Gq * row_size(recurrent, H))
    if of_chunks is not Form.NUMBERS:
        scratch.add("packed_w", Ga * panel_size(of_chunks, padded_x, H) if need_x else 0)
        scratch.add("x_terms", rows * Ga * row_size(of_chunks, H) if need_x else 0)
        scratch.add("left", plan.blocks * panel_size(of_chunks, padded, rows))
        scratch.add("right", panel_size(of_chunks, right, rows))
    else:
        scratch.add("packed_w", Ga * H * padded_x if need_x and not unpacked else 0)
        scratch.add("left", plan.blocks * padded * rows)
        scratch.add("right", right * rows)
    scratch.add("sums", plan.blocks * H + L)
    fixed = {"chunk": chunk, "direct": int(direct(shape)), "unpacked": int(unpacked)}
    fixed |= {"sum_w_hh_b": padded, "sum_w_ih_b": padded_x}
    if padded != H or shape.stored is not None:
        scratch.add("sum_w_hh", Gq * H * padded)
    if dense and (padded_x != D or shape.stored is not None):
        scratch.add("sum_w_ih", Ga * H * padded_x)
    fixed |= {f"seq_t.{s}": B * H for s in step.state}
    kept = kept_layout(shape, plan.saved * padded)
    return make_launch_plan(kernel, shape, scratch, Layout(item), kept, fixed, recurrent=recurrent)
