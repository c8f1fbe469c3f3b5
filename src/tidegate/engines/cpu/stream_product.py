"""The matrix product of a single step: few rows against weights that are packed in the order in which they are read.

A product of one row reads every weight once, so its time is that of reading them, and one consecutive read is several
times as fast as reading eight panels side by side. The weights of `columns` vectors are divided into tiles of at most
WIDEST vectors, equal to within one; a tile is packed as [k][vector][lane], and tiles follow each other.

Every element of the result is one chain of fused multiply-adds in the order of k, as in `tile`, so it has the bits of
the product there.
"""

from tidegate.engines.cpu import abi
from tidegate.engines.cpu.stream_abi import GATHER, PRODUCT, WIDEST
from tidegate.engines.cpu.vector import Code, Int, Ptr, fma

#: Numbers of k by which a tile prefetches its weights.
AHEAD = 8


def symbol(code: Code, name: str = PRODUCT) -> str:
    return abi.symbol(code.real_name, name)


def heights(code: Code) -> range:
    """Rows of a tile: three rows of accumulators, their values of x and a vector of weights fit into 32 registers."""
    return range(1, 4 if code.target.registers == 32 else 2)


def emit(code: Code) -> None:
    """stream_product(left, its row stride, rows; weights, columns, K; init; out, its row stride), columns counted in
    vectors: out[r, c] = init[c] + sum_k left[r, k] weights[k, c]."""
    for rows in heights(code):
        for columns in range(1, WIDEST + 1):
            tile(code, rows, columns)
    with code.function(symbol(code), "piipiippi", public=True) as arguments:
        left, row_stride, rows, weights, columns, K, init, out, out_row = arguments
        tallest = heights(code)[-1]
        row_tiles, tiles = (rows + (tallest - 1)) // tallest, (columns + (WIDEST - 1)) // WIDEST
        with code.loop(0, tiles) as j:
            c0, c1 = columns * j // tiles, columns * (j + 1) // tiles
            at = c0 * code.lanes
            with code.loop(0, row_tiles) as i:
                r0, r1 = rows * i // row_tiles, rows * (i + 1) // row_tiles
                operands = (
                    left + row_stride * r0, row_stride, weights + at * K, K, init + at, out + (out_row * r0 + at),
                    out_row,
                )  # fmt: skip
                _call_tile(code, r1 - r0, c1 - c0, operands)
    gather(code)


def gather(code: Code) -> None:
    """stream_gather(index, rows; weights, columns, K; init; out, its row stride): out[r, c] = weights[index[r], c] +
    init[c], what a one-hot row gives; without the sum if `init` is null."""
    with code.function(symbol(code, GATHER), "pipiippi", public=True) as arguments:
        index, rows, weights, columns, K, init, out, out_row = arguments
        tiles, L = (columns + (WIDEST - 1)) // WIDEST, code.lanes
        with code.loop(0, rows) as r, code.loop(0, tiles) as j:
            c0, c1 = columns * j // tiles, columns * (j + 1) // tiles
            row, to = weights + (c0 * K + index.integer(r) * (c1 - c0)) * L, out + (out_row * r + c0 * L)
            with code.loop(0, c1 - c0) as c, code.either(init.is_null) as (plain, added):
                with plain:
                    to.store(row.load(c * L), c * L)
                with added:
                    to.store(row.load(c * L) + init.load((c0 + c) * L), c * L)


def _call_tile(code: Code, rows: Int, columns: Int, operands: tuple[Int | Ptr, ...]) -> None:
    with code.case(rows, of=heights(code)) as row_cases:
        for r in row_cases:
            with code.case(columns, of=range(1, WIDEST + 1)) as column_cases:
                for c in column_cases:
                    code.call(f"stream_tile_{r}x{c}", *operands)


def tile(code: Code, rows: int, columns: int) -> None:
    """stream_tile_RxC(left, its row stride; weights, K; init; out, its row stride)."""
    name = f"stream_tile_{rows}x{columns}"
    with code.function(name, "pipippi", inline=False) as (left, row_stride, weights, K, init, out, out_row):
        L = code.lanes
        start = [init.load(c * L) for c in range(columns)] * rows
        row_offset = [row_stride * r for r in range(rows)]
        with code.accumulate([left, weights, *start], 0, K) as (_, (x, w, *sums), following):
            values = [x.splat(o) for o in row_offset]
            for c in range(columns):
                (w + (columns * AHEAD + c) * L).prefetch()
                weight = w.load(c * L)
                for r, value in enumerate(values):
                    following[2 + r * columns + c] = fma(value, weight, sums[r * columns + c])
            following[:2] = [x + 1, w + columns * L]
        for r in range(rows):
            for c in range(columns):
                (out + out_row * r).store(following[2 + r * columns + c], c * L)
