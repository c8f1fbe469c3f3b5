"""Products of numbers rounded to bfloat16, on processors whose vector registers multiply pairs of them (AVX512-BF16).

A float32 number has 24 significant bits and a bfloat16 number 8. Each operand is rounded once, to nearest, ties to
even; the sums are float32. One instruction adds the products of two values of k to every lane:

    sum + left[2 j] right[2 j] + left[2 j + 1] right[2 j + 1]

With unit roundoff u = 2^-8 for bfloat16 (half a unit in the last place), the result of a sum over k differs from the
exact one by at most (2 u + u^2) sum |left right|, besides the roundings of the additions in float32. Numbers below
2^-126 count as zero; those above 3.39e38 as infinite.

Layouts; a *pair* of values of k has the size of one float32 number, the even one in its lower half:

    rows     [row][pair of k]                       left sides
    panels   [group of columns][pair of k][column]  right sides, and left sides packed from their columns

Both are zero beyond the edge of k, up to a whole group of numbers. Every element of a result is one chain over the
pairs of k, whatever the other rows and columns hold.
"""

from collections.abc import Callable
from functools import partial

import llvmlite.ir as ir

from tidegate.engines.cpu import tile, transposed, unpacked
from tidegate.engines.cpu.abi import GROUP, pairs
from tidegate.engines.cpu.bfloats import I16, BFloats
from tidegate.engines.cpu.tile import symbol
from tidegate.engines.cpu.vector import Code, Int, Ptr, Value, Vec

#: The names of this file's functions for other modules begin with this.
PREFIX = "pairs_"
#: Sizes of one pair of k, counted in float32 numbers: in a row, and in a panel.
ROW, PANEL = 1, GROUP
#: How many pairs so many values of k take.
blocks = pairs


class _BFloat(ir.Type):
    """LLVM's bfloat16, which llvmlite has no name for."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat)

    def __hash__(self) -> int:
        return hash(_BFloat)


def emit(code: Code) -> None:
    """Write the functions of this file into the module."""
    tile.product(code, f"{PREFIX}product", multiply_add)
    pack_left(code)
    readers(code, Ptr)


def emit_for_bfloats(code: Code) -> None:
    """Write the functions that read bfloat16 numbers into a module of their own; `pairs_product` is elsewhere."""
    readers(code, BFloats)
    tile.transpose(code, BFloats)
    tile.pack_transposed(code, BFloats)
    tile.gather_column(code, BFloats)


def readers(code: Code, kind: type[Ptr]) -> None:
    """The functions that read numbers of one kind, which their addresses have."""
    name = f"{PREFIX}{kind.tag}unpacked_product"
    unpacked.emit(code, name, partial(unpacked_tile, kind=kind), kind)
    tile.transpose(code, Ptr)
    round_rows(code, kind)
    pack_pair(code, kind)
    pack_right(code, kind)


# -- calls from kernels -------------------------------------------------------------------------------------------


def of_rows(
    code: Code, left: Ptr, row: Int, rows: Int, right: Ptr, groups: Int, count: Int, start: Ptr, out: Ptr, out_row: Int
) -> None:
    """out = start + left right for rows in the layout `rows` with so many pairs, with one `start` for all of them."""
    code.call(
        symbol(code, f"{PREFIX}product"), left, row, code.int(ROW), rows, right, count * PANEL, code.int(PANEL), groups,
        count, start, out, out_row, code.int(0),
    )  # fmt: skip


def split(
    code: Code, source: Ptr, source_row: Int, rows: Int, columns: Int, target: Ptr, row: Int, groups: tuple[Int, Int]
) -> None:
    """Round a range of groups of rows of numbers."""
    code.call(symbol(code, f"{PREFIX}{source.tag}split_rows"), source, source_row, rows, columns, target, row, *groups)


def pack_rows(
    code: Code, row: Callable[[Int], Ptr], count: Int, columns: Int, target: Ptr, group: Int, none: Ptr
) -> None:
    """Pack rows as panels: row(i) is the address of the i-th of `count`, `none` that of a row of zeros."""
    with code.loop(0, blocks(count)) as j:
        both = [code.select(count > i, row(i.least(count - 1)), none) for i in (j * 2, j * 2 + 1)]
        code.call(symbol(code, f"{PREFIX}{both[0].tag}pack_pair"), *both, columns, target + j * PANEL, group)


# -- instructions -------------------------------------------------------------------------------------------------


def multiply_add(x: Vec, w: Vec, total: Vec) -> Vec:
    """total + the products of both numbers of each pair of x and w."""
    code, both = x.code, ir.VectorType(_BFloat(), 2 * GROUP)
    operands = (code.b.bitcast(v.v, both) for v in (x, w))
    return Vec(code, code.intrinsic("llvm.x86.avx512bf16.dpbf16ps.512", code.vector, total.v, *operands))


def rounded(code: Code, first: Vec, second: Vec) -> Value:
    """32 rounded numbers as 16-bit integers, those of `first` before those of `second`."""
    kind = ir.VectorType(_BFloat(), 2 * GROUP)
    found = code.intrinsic("llvm.x86.avx512bf16.cvtne2ps2bf16.512", kind, second.v, first.v)
    return code.b.bitcast(found, ir.VectorType(I16, 2 * GROUP))


def _words(code: Code, first: Vec, second: Vec) -> Vec:
    """The pairs of neighbouring numbers of `first`, then those of `second`."""
    return Vec(code, code.b.bitcast(rounded(code, first, second), code.vector))


def interleaved(code: Code, even: Vec, odd: Vec) -> Vec:
    """The pairs (even, odd) of every lane."""
    lanes = [lane for i in range(GROUP) for lane in (i, GROUP + i)]
    both = rounded(code, even, odd)
    order = ir.Constant(ir.VectorType(ir.IntType(32), 2 * GROUP), lanes)
    return Vec(code, code.b.bitcast(code.b.shuffle_vector(both, both, order), code.vector))


def unpacked_tile(code: Code, rows: int, groups: int, *, kind: type[Ptr]) -> None:
    """As `unpacked.tile`, with rows in the layout `rows`, and weights and `init` at addresses of this kind; the weights
    are rounded while they are read. The chain has the pairs of the packed product, those beyond K too."""
    name = f"{PREFIX}{kind.tag}unpacked_product_{rows}x{groups}"
    with code.function(name, "pipiiippii", inline=False) as (left, row_stride, at, *arguments):
        weight_row, units, K, init, out, out_row, out_group = arguments
        weights, init = kind(code, at.v), kind(code, init.v)
        inside = [code.first_lanes(units - g * GROUP) for g in range(groups)]
        # The last unit is read again in place of units beyond it.
        offset = [weight_row * (units - 1).least(i) for i in range(groups * GROUP)]
        state = [left, weights, *[init.load(g * GROUP, inside[g]) for g in range(groups) for _ in range(rows)]]
        rest = K % (2 * GROUP)
        for count, used in ((K // (2 * GROUP), None), ((rest + (GROUP - 1)) // GROUP, rest)):
            # What is left of K is read in one or two passes of GROUP values, half a square each.
            pairs_now = GROUP if used is None else GROUP // 2
            with code.accumulate(state, 0, count) as (i, (x, w, *sums), following):
                mask = None if used is None else code.first_lanes(used - i * GROUP)
                for g in range(groups):
                    if g:
                        code.keep_order()  # two squares at once would not fit into the registers
                    lines = [(w + o).load(0, mask) for o in offset[g * GROUP : (g + 1) * GROUP]]
                    others = [(w + o).load(GROUP) for o in offset[g * GROUP : (g + 1) * GROUP]] if used is None else []
                    others = others or [code.vec(0.0)] * GROUP
                    words = [_words(code, *pair) for pair in zip(lines, others)]
                    for j, column in enumerate(transposed.square(code, words)[:pairs_now]):
                        for r in range(rows):
                            k = g * rows + r
                            sums[k] = multiply_add(x.splat(row_stride * r + j), column, sums[k])
                following[:] = [x + pairs_now, w + 2 * pairs_now, *sums]
            state = following
        for g in range(groups):
            for r in range(rows):
                value = code.select(inside[g], state[2 + g * rows + r], code.vec(0.0))
                (out + (out_row * r + out_group * g)).store(value)


# -- the packing of operands --------------------------------------------------------------------------------------


def round_rows(code: Code, kind: type[Ptr]) -> None:
    """split_rows(source, row stride, rows, columns; target, row stride; first group, last group): the layout `rows` of
    a range of groups of 16 columns. The source is an address of this kind."""
    with code.function(symbol(code, f"{PREFIX}{kind.tag}split_rows"), "piiipiii", public=True) as (at, *arguments):
        source_row, rows, columns, target, target_row, g0, g1 = arguments
        source, half, pairs_type = kind(code, at.v), GROUP // 2, ir.VectorType(_BFloat(), GROUP)
        whole = columns // GROUP

        def convert(line: Ptr, to: Ptr, g: Int, mask: Value | None) -> None:
            found = code.intrinsic("llvm.x86.avx512bf16.cvtneps2bf16.512", pairs_type, line.load(g * GROUP, mask).v)
            words = code.b.bitcast(found, ir.VectorType(I16, GROUP))
            code.b.store(words, (to + g * half).v, align=4)

        with code.loop(0, rows) as r:
            line, to = source + source_row * r, target + target_row * r
            with code.loop(g0, g1.least(whole)) as g:
                convert(line, to, g, None)
            with code.when(g1 > whole):
                convert(line, to, whole, code.first_lanes(columns % GROUP))


def pack_pair(code: Code, kind: type[Ptr]) -> None:
    """pack_pair(even row, odd row, columns; target, group stride): a pair of k of panels, from rows at addresses of
    this kind."""
    with code.function(symbol(code, f"{PREFIX}{kind.tag}pack_pair"), "ppipi", public=True) as arguments:
        even, odd = (kind(code, at.v) for at in arguments[:2])
        columns, target, group = arguments[2:]
        whole = columns // GROUP
        with code.loop(0, whole) as g:
            (target + group * g).store(interleaved(code, even.load(g * GROUP), odd.load(g * GROUP)))
        with code.when((columns % GROUP) > 0):
            mask = code.first_lanes(columns % GROUP)
            words = interleaved(code, even.load(whole * GROUP, mask), odd.load(whole * GROUP, mask))
            (target + group * whole).store(words)


def pack_right(code: Code, kind: type[Ptr]) -> None:
    """pack_right(source, row stride, units, K; target, group stride): panels of the transpose of source (units, K),
    which is at an address of this kind; columns beyond `units` are zero."""
    with code.function(symbol(code, f"{PREFIX}{kind.tag}pack_right"), "piiipi", public=True) as (at, *arguments):
        row, units, K, target, group = arguments
        source, square, side = kind(code, at.v), code.stack(GROUP), code.int(GROUP)
        with code.loop(0, units, GROUP) as u, code.loop(0, K, 2 * GROUP) as k:
            corner, to = source + (u * row + k), target + (u // GROUP * group + k // 2 * PANEL)
            with code.either(code.b.and_((units - u) >= GROUP, (K - k) >= 2 * GROUP)) as (whole, edge):
                with whole:
                    lines = [corner + row * i for i in range(GROUP)]
                    words = [_words(code, line.load(), line.load(GROUP)) for line in lines]
                    for j, column in enumerate(transposed.square(code, words)):
                        to.store(column, j * PANEL)
                with edge:
                    with code.loop(0, GROUP) as i:
                        line, count = source + ((u + i) * row + k), code.select(units > (u + i), K - k, code.int(0))
                        halves = [line.load(first, code.first_lanes(count - first)) for first in (0, GROUP)]
                        square.store(_words(code, *halves), i * GROUP)
                    code.call("transpose", square, side, square, side)
                    with code.loop(0, (blocks(K) - k // 2).least(GROUP)) as j:
                        (to + j * PANEL).store(square.load(j * GROUP))


def pack_left(code: Code) -> None:
    """pack_left(source, row stride, K, units; target, group stride): panels of source (K, units)."""
    with code.function(symbol(code, f"{PREFIX}pack_left"), "piiipi", public=True) as arguments:
        source, row, K, units, target, group = arguments
        whole = K // 2
        with code.loop(0, whole) as j:
            line = source + row * (j * 2)
            code.call(symbol(code, f"{PREFIX}pack_pair"), line, line + row, units, target + j * PANEL, group)
        with code.when((K % 2) > 0):
            _edge(code, source + row * (K - 1), units, target + whole * PANEL, group)
        with code.loop((K + 1) // 2, blocks(K)) as j, code.loop(0, (units + (GROUP - 1)) // GROUP) as g:
            (target + (group * g + j * PANEL)).store(code.vec(0.0))


def _edge(code: Code, line: Ptr, units: Int, target: Ptr, group: Int) -> None:
    """The last row of an odd number of them, paired with zeros."""
    with code.loop(0, (units + (GROUP - 1)) // GROUP) as g:
        even = line.load(g * GROUP, code.first_lanes(units - g * GROUP))
        (target + group * g).store(interleaved(code, even, code.vec(0.0)))
