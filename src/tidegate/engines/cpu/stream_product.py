"""The matrix product of a single step: few rows against weights that are packed in the order in which they are read.

A product of one row reads every weight once, so its time is that of reading them; reading consecutive memory is faster
than reading eight panels side by side. The weights of `columns` vectors are divided into tiles of at most WIDEST
vectors, equal to within one; a tile is packed as [k][vector][lane] (`stream_stored`), and tiles follow each other.

Every element of the result is one chain of fused multiply-adds in the order of k, as in `tile`. So with weights of the
arithmetic type it has the bits of the product there.
"""

from tidegate.engines.cpu import abi, stream_integers
from tidegate.engines.cpu.stream_abi import GATHER, PRODUCT, WIDEST
from tidegate.engines.cpu.stream_stored import Int8, Stored
from tidegate.engines.cpu.vector import Code, Int, Ptr, fma

#: Groups of k by which a tile prefetches its weights.
AHEAD = 8
#: Bytes that one prefetch brings into the cache.
LINE = 64


def symbol(code: Code, name: str, stored: Stored) -> str:
    return abi.symbol(code.real_name, f"{name}_{stored.name}")


def heights(code: Code) -> range:
    """Rows of a tile: three rows of accumulators, their values of x and a vector of weights fit into 32 registers."""
    return range(1, 4 if code.target.registers == 32 else 2)


def emit(code: Code, stored: Stored) -> None:
    """stream_product(left, its row stride, rows; weights, scale, columns, K; init; out, its row stride; aside, turn),
    columns counted in vectors: out[r, c] = init[c] + sum_k left[r, k] weights[k, c]. `aside` is memory for the rows as
    integers (`stream_integers`); with turn != 0 the last tile is the first."""
    integers = isinstance(stored, Int8) and stream_integers.supported(code)
    for rows in heights(code):
        for columns in range(1, WIDEST + 1):
            if integers:
                stream_integers.tile(code, rows, columns)
            else:
                tile(code, stored, rows, columns)
    if integers:
        stream_integers.round_row(code)
    with code.function(symbol(code, PRODUCT, stored), "piippiippipi", public=True) as arguments:
        left, row_stride, rows, weights, scale, columns, K, init, out, out_row, aside, turn = arguments
        if integers:
            stream_integers.round_rows(code, left, row_stride, rows, K, aside)
            left, row_stride = aside, stream_integers.row_size(code, K)
        tallest, size = heights(code)[-1], stored.size(code, K)
        row_tiles, tiles = (rows + (tallest - 1)) // tallest, (columns + (WIDEST - 1)) // WIDEST
        with code.loop(0, tiles) as i:
            j = code.select(turn.equals(0), i, tiles - 1 - i)
            c0, c1 = columns * j // tiles, columns * (j + 1) // tiles
            at = c0 * code.lanes
            with code.loop(0, row_tiles) as t:
                r0, r1 = rows * t // row_tiles, rows * (t + 1) // row_tiles
                operands = (
                    left + row_stride * r0, row_stride, weights + c0 * size, scale + at, K, init + at,
                    out + (out_row * r0 + at), out_row,
                )  # fmt: skip
                _call_tile(code, r1 - r0, c1 - c0, operands)
    gather(code, stored)


def gather(code: Code, stored: Stored) -> None:
    """stream_gather(index, rows; weights, scale, columns, K; init; out, its row stride): out[r, c] =
    weights[index[r], c] + init[c], what a one-hot row gives; without the sum if `init` is null."""
    with code.function(symbol(code, GATHER, stored), "pippiippi", public=True) as arguments:
        index, rows, weights, scale, columns, K, init, out, out_row = arguments
        tiles, L, size = (columns + (WIDEST - 1)) // WIDEST, code.lanes, stored.size(code, K)
        with code.loop(0, rows) as r, code.loop(0, tiles) as j:
            c0, c1 = columns * j // tiles, columns * (j + 1) // tiles
            row, part = stored.row(code, weights + c0 * size, c1 - c0, index.integer(r))
            with code.loop(0, c1 - c0) as c:
                at = (c0 + c) * L
                to = out + (out_row * r + at)
                with code.case(part, of=range(stored.steps)) as parts:
                    for p in parts:
                        weight = stored.alone(stored.load(row + c * stored.stride(code))[p], scale + at)
                        with code.either(init.is_null) as (without, with_bias):
                            with without:
                                to.store(weight)
                            with with_bias:
                                to.store(weight + (init + at).load())


def _call_tile(code: Code, rows: Int, columns: Int, operands: tuple[Int | Ptr, ...]) -> None:
    with code.case(rows, of=heights(code)) as row_cases:
        for r in row_cases:
            with code.case(columns, of=range(1, WIDEST + 1)) as column_cases:
                for c in column_cases:
                    code.call(f"stream_tile_{r}x{c}", *operands)


def tile(code: Code, stored: Stored, rows: int, columns: int) -> None:
    """stream_tile_RxC(left, its row stride; weights, scale, K; init; out, its row stride)."""
    name = f"stream_tile_{rows}x{columns}"
    with code.function(name, "pippippi", inline=False) as (left, row_stride, weights, scale, K, init, out, out_row):
        L, stride, steps = code.lanes, stored.stride(code), stored.steps
        group = columns * stride
        row_offset = [row_stride * r for r in range(rows)]
        state = [left, weights, *([stored.start(init + c * L) for c in range(columns)] * rows)]
        # The last group of k may be incomplete: then a second loop, of at most one pass, reads its first values.
        for count, used in ((K // steps, steps), (K % steps, 1))[: min(steps, 2)]:
            with code.accumulate(state, 0, count) as (_, (x, w, *sums), following):
                for o in range(0, group, max(1, LINE // code.bytes)):
                    (w + (group * AHEAD + o)).prefetch()
                values = [[(x + k).splat(o) for o in row_offset] for k in range(used)]
                for c in range(columns):
                    for weight, x_k in zip(stored.load(w + c * stride), values):
                        for r, value in enumerate(x_k):
                            sums[r * columns + c] = fma(value, weight, sums[r * columns + c])
                following[:] = [x + used, w + group, *sums]
            state = following
        for r in range(rows):
            for c in range(columns):
                total = stored.finish(state[2 + r * columns + c], init + c * L, scale + c * L)
                (out + out_row * r).store(total, c * L)
