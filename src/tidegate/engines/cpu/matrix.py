"""Products of float32 numbers on the processor's matrix unit (AMX), which multiplies bfloat16 numbers.

A float32 number has 24 significant bits and a bfloat16 number 8, so a float32 number is exactly the sum of three terms:

    x = x1 + x2 + x3        x1 = x rounded to 8 bits, x2 = x - x1 rounded to 8 bits, x3 = x - x1 - x2

and a product needs six of the nine products of terms; the sum of the other three is below 2^-23 |x y|:

    x y = x1 y1 + (x1 y2 + x2 y1) + (x1 y3 + x2 y2 + x3 y1)

The unit adds up 32 products in float32 before it adds them to the result, so sums are nearer to float64 than those of
one chain of multiply-adds, at nearly twice its speed. Numbers below 2^-126 count as zero, and terms of numbers below
2^-110 are lost for that reason; numbers above 3.39e38 count as infinite; infinity times a number of few
significant bits may give NaN.

Layouts, in 16-bit terms; a *block* is 32 steps of k, and rows and columns come in groups of 16:

    rows     [row][block][term][k]                      left sides that change from step to step
    left     [group of rows][block][row][term][k]       left sides packed from their columns
    right    [group of columns][block][term][pair of k][column][k of the pair]

Each is zero beyond the edge of k. Sizes and strides count float32 numbers, as everywhere: two terms have the size of
one. Every element of a result is one chain over the blocks of k, whatever the other rows and columns hold.
"""

from collections.abc import Callable, Sequence

import llvmlite.ir as ir

from tidegate.engines.cpu.abi import BLOCK, GROUP, PANEL, ROW, TERM, TERMS, blocks
from tidegate.engines.cpu.tile import symbol
from tidegate.engines.cpu.vector import I32, I64, VOID, Code, Int, Ptr, Value, Vec, from_bits

#: (term of the left side, term of the right side), in one order for all tiles, so that all have the same bits. Each
#: right side is read from the L2 cache once.
PAIRS = ((0, 2), (0, 1), (1, 1), (1, 0), (0, 0), (2, 0))
#: First tile registers of the results of two by two tiles, of left sides (one less for one row of tiles), of right
#: sides.
RESULT, LEFT, RIGHT = 0, 4, 6
#: The names of this file's functions for other modules begin with this; those of `pairs` do not.
PREFIX = ""
I8, I16 = ir.IntType(8), ir.IntType(16)


def emit(code: Code) -> None:
    """Write the functions of this file into the module, which holds those of `tile`."""
    for rows, columns in ((2, 2), (2, 1), (1, 2), (1, 1)):
        tile(code, rows, columns)
    product(code)
    done(code)
    split_rows(code)
    pack_pair(code)
    pack_right(code)
    pack_left(code)


# -- calls from kernels -------------------------------------------------------------------------------------------


def of_rows(
    code: Code, left: Ptr, row: Int, rows: Int, right: Ptr, groups: Int, count: Int, start: Ptr, out: Ptr, out_row: Int
) -> None:
    """out = start + left right for up to 32 rows in the layout `rows`, with one `start` for all of them."""
    tall = code.select(rows > GROUP, (rows + 1) // 2, rows)
    code.call(
        symbol(code, "matrix_product"), left, row, row * tall, code.int(ROW), rows, tall,
        right, count * PANEL, groups, count, start, code.int(0), out, out_row,
    )  # fmt: skip


def split(
    code: Code, source: Ptr, source_row: Int, rows: Int, columns: Int, target: Ptr, row: Int, groups: tuple[Int, Int]
) -> None:
    """Split a range of groups of rows of numbers into terms."""
    code.call(symbol(code, "split_rows"), source, source_row, rows, columns, target, row, *groups)


def pack_rows(
    code: Code, row: Callable[[Int], Ptr], count: Int, columns: Int, target: Ptr, group: Int, none: Ptr
) -> None:
    """Pack rows as the layout `right`: row(i) is the address of the i-th of `count`, `none` that of a row of zeros."""
    with code.loop(0, blocks(count) * (BLOCK // 2)) as j:
        pair = [code.select(count > i, row(i.least(count - 1)), none) for i in (j * 2, j * 2 + 1)]
        at = j // (BLOCK // 2) * PANEL + j % (BLOCK // 2) * GROUP
        code.call(symbol(code, "pack_pair"), *pair, columns, target + at, group)


# -- the product --------------------------------------------------------------------------------------------------


def tile(code: Code, rows: int, columns: int) -> None:
    """matrix_RxC(left, row stride, to the second row of tiles, block stride; right, group stride; blocks;
    start, its row stride, column stride, and second row; out, its row stride, and second row): R x C tiles of 16
    columns."""
    with code.function(f"matrix_{rows}x{columns}", "piiipiipiiipii", inline=False) as arguments:
        left, row, second, block, right, group, count, start, start_row, start_c, start_2, out, out_row, out_2 = (
            arguments
        )
        tiles = [(r, c, RESULT + 2 * r + c) for r in range(rows) for c in range(columns)]
        for r, c, register in tiles:
            _load(code, register, start + (start_2 * r + start_c * c), start_row)
        with code.accumulate([left, right], 0, count) as (_, (x, w), following):
            held: dict[int, tuple[int, ...]] = {}

            def hold(register: int, at: Ptr, stride: Int, name: tuple[int, ...]) -> int:
                if held.get(register) != name:
                    _load(code, register, at, stride)
                    held[register] = name
                return register

            for i, j in PAIRS:
                for c in range(columns):
                    panel = hold(RIGHT + c, w + (group * c + PANEL // TERMS * j), code.int(GROUP), (j,))
                    for r in range(rows):
                        # With one row of tiles there are registers for all three terms of its left side.
                        register = LEFT + r if rows == 2 else LEFT - 1 + i
                        line = hold(register, x + (second * r + TERM * i), row, (i,))
                        _call(code, "tdpbf16ps", RESULT + 2 * r + c, line, panel)
            following[:] = [x + block, w + PANEL]
        for r, c, register in tiles:
            _call(code, "tilestored64", register, out + (out_2 * r + c * GROUP), out_row * 4)


def product(code: Code) -> None:
    """matrix_product(left, row stride, to the second row of tiles, block stride, rows, rows of the first
    tile; right, group stride, groups of columns; blocks; start, its row stride; out, its row stride):

        out[r, c] = start[r, c] + sum_k left[r, k] right[k, c]

    for up to 32 rows; a null `start` means zeros. The second row of tiles begins `to the second row` numbers on."""
    with code.function(symbol(code, "matrix_product"), "piiiiipiiipipi", public=True) as arguments:
        left, row, second, block, rows, tall, right, group, groups, count, start, start_row, out, out_row = arguments
        _configure(code, tall, rows - tall)
        none = start.is_null
        start_c = code.select(none, code.int(0), code.int(GROUP))
        start_row = code.select(none, code.int(0), start_row)
        start = code.select(none, code.zeros(), start)

        def call(shape: tuple[int, int], at: Int) -> None:
            code.call(
                f"matrix_{shape[0]}x{shape[1]}", left, row, second, block, right + group * at, group, count,
                start + start_c * at, start_row, start_c, start_row * tall,
                out + at * GROUP, out_row, out_row * tall,
            )  # fmt: skip

        def all_columns(rows: int) -> None:
            with code.loop(0, groups // 2 * 2, 2) as at:
                call((rows, 2), at)
            with code.when((groups % 2).equals(1)):
                call((rows, 1), groups - 1)

        with code.either(rows > tall) as (two, one):
            with two:
                all_columns(2)
            with one:
                all_columns(1)


def done(code: Code) -> None:
    """matrix_done(): release the tile registers; to be called by every thread that called `matrix_product`."""
    with code.function(symbol(code, "matrix_done"), "", public=True):
        _call(code, "tilerelease")


def _configure(code: Code, first: Int, second: Int) -> None:
    """Set the heights of the tiles: rows of the first and of the second tile of results and left sides."""
    # Bytes: one palette; from byte 16 on the width of every register, in two bytes; from byte 48 on its height, in one.
    # With one row of tiles, all but the right sides have its height.
    config, width = code.stack(1), GROUP * 4 * 0x1_0001_0001_0001
    lower = code.select(second > 0, second, first)
    heights = first * 0x1_0000_0101 + lower * 0x100_0101_0000 + GROUP * 0x101_0000_0000_0000
    words = ir.Constant(ir.VectorType(I64, 8), [1, 0, width, width, 0, 0, 0, 0])
    config.store(from_bits(code, code.b.insert_element(words, heights.v, ir.Constant(I32, 6))))
    _call(code, "ldtilecfg", config)


def _load(code: Code, register: int, at: Ptr, stride: Int) -> None:
    _call(code, "tileloadd64", register, at, stride * 4)


def _call(code: Code, name: str, *arguments: int | Int | Ptr) -> None:
    """An instruction of the unit; a Python integer names a tile register."""
    values = [ir.Constant(I8, a) if isinstance(a, int) else a.v for a in arguments]
    code.intrinsic(f"llvm.x86.{name}", VOID, *values)


# -- the packing of its operands ----------------------------------------------------------------------------------


def terms(code: Code, x: Vec) -> list[Vec]:
    """x1, x2, x3 as float32 numbers whose lower 16 bits are zero."""
    half, upper = code.bit_vector(0x8000), code.bit_vector(0xFFFF0000)

    def rounded(v: Vec) -> Vec:
        return from_bits(code, code.b.and_(code.b.add(v.as_bits(), half), upper))

    x1 = rounded(x)
    # The remainder of an infinite number is 0, not inf - inf = NaN, so that only NaN gives NaN.
    rest = code.select(x.is_("==", x1), code.vec(0.0), x - x1)
    x2 = rounded(rest)
    return [x1, x2, rest - x2]


def pairs(code: Code, even: Vec, odd: Vec) -> list[Vec]:
    """For each term, the pair (even, odd) of every lane."""
    sixteen, upper = code.bit_vector(16), code.bit_vector(0xFFFF0000)
    b = code.b
    return [
        from_bits(code, b.or_(b.lshr(x.as_bits(), sixteen), b.and_(y.as_bits(), upper)))
        for x, y in zip(terms(code, even), terms(code, odd))
    ]


def split_rows(code: Code) -> None:
    """split_rows(source, row stride, rows, columns; target, row stride; first group, last group): the layout `rows` of
    a range of groups of 16 columns."""
    with code.function(symbol(code, "split_rows"), "piiipiii", public=True) as arguments:
        source, source_row, rows, columns, target, target_row, g0, g1 = arguments
        whole = columns // GROUP
        with code.loop(0, rows) as r:
            line, to = source + source_row * r, target + target_row * r

            def write(g: Int, values: Sequence[Value]) -> None:
                at = to + (g // 2 * ROW + g % 2 * (TERM // 2))
                for i, value in enumerate(values):
                    code.b.store(value, (at + i * TERM).v, align=4)

            def split(g: Int, mask: Value | None) -> None:
                sixteen, kind = code.bit_vector(16), ir.VectorType(I16, GROUP)
                shifted = (code.b.lshr(x.as_bits(), sixteen) for x in terms(code, line.load(g * GROUP, mask)))
                write(g, [code.b.trunc(x, kind) for x in shifted])

            with code.loop(g0, g1.least(whole)) as g:
                split(g, None)
            with code.when(g1 > whole):
                split(whole, code.first_lanes(columns % GROUP))
            with code.when(code.b.and_((g1 * GROUP) >= columns, (g1 % 2).equals(1))):
                write(g1, [ir.Constant(ir.VectorType(I16, GROUP), [0] * GROUP)] * TERMS)


def pack_pair(code: Code) -> None:
    """pack_pair(even row, odd row, columns; target, group stride): a pair of k of the layout `right`."""
    with code.function(symbol(code, "pack_pair"), "ppipi", public=True) as (even, odd, columns, target, group):
        whole = columns // GROUP

        def pack(g: Int, mask: Value | None) -> None:
            pair = pairs(code, even.load(g * GROUP, mask), odd.load(g * GROUP, mask))
            for i, words in enumerate(pair):
                (target + (group * g + i * (PANEL // TERMS))).store(words)

        with code.loop(0, whole) as g:
            pack(g, None)
        with code.when((columns % GROUP) > 0):
            pack(whole, code.first_lanes(columns % GROUP))


def pack_right(code: Code) -> None:
    """pack_right(source, row stride, units, K; target, group stride): the layout `right` of the transpose of source
    (units, K); columns beyond `units` repeat the last."""
    with code.function(symbol(code, "pack_right"), "piiipi", public=True) as arguments:
        source, row, units, K, target, group = arguments
        square = code.stack(GROUP)
        with code.loop(0, units, GROUP) as u, code.loop(0, K, BLOCK) as k, code.loop(0, BLOCK, GROUP) as half:
            to = target + (u // GROUP * group + k // BLOCK * PANEL + half // 2 * GROUP)
            mask = code.first_lanes(K - k - half)
            with code.loop(0, GROUP) as i:
                square.store((source + ((u + i).least(units - 1) * row + k + half)).load(0, mask), i * GROUP)
            code.call("transpose", square, code.int(GROUP), square, code.int(GROUP))
            with code.loop(0, GROUP // 2) as j:
                even = square + j * (2 * GROUP)
                for i, words in enumerate(pairs(code, even.load(), even.load(GROUP))):
                    to.store(words, (j + i * GROUP) * GROUP)


def pack_left(code: Code) -> None:
    """pack_left(source, row stride, K, units; target, group stride): the layout `left` of the transpose of source
    (K, units)."""
    with code.function(symbol(code, "pack_left"), "piiipi", public=True) as arguments:
        source, row, K, units, target, group = arguments
        none = code.zeros()
        with code.loop(0, K, BLOCK) as k, code.loop(0, units, GROUP) as u:
            mask = code.first_lanes(units - u)

            def line(i: Int) -> Vec:
                at = source + ((k + i) * row + u)
                return code.select((K - k) > i, at, none).load(0, mask)

            to = target + (u // GROUP * group + k // BLOCK * PANEL)
            with code.loop(0, GROUP) as i:
                for number, words in enumerate(pairs(code, line(i * 2), line(i * 2 + 1))):
                    to.store(words, i * ROW + TERM * number)
            with code.loop(0, TERMS) as number:
                code.call("transpose", to + number * TERM, code.int(ROW), to + number * TERM, code.int(ROW))
