"""The matrix product, which takes most of the time of a step, and the packing of its operands.

`product` computes out[r, c] = init[r, c] + sum_k left[r, k] right[k, c] with `rows` scalars of `left` against `columns`
vectors of `right`, a register tile of R x C accumulators at a time. All strides are arguments, so one function computes
the recurrent product, the input projection, the gradients of weights and sums over rows.

Every element of the result is one chain of fused multiply-adds in the order of k, whatever the tile it lies in. So its
bits do not depend on the rest of the batch, on the tile shapes, or on how rows and columns are divided among threads.

Sizes and strides count numbers, not bytes. A *panel* is `right` packed as [column vector][k][lane], zero beyond the
edge.
"""

from collections.abc import Callable

from tidegate.engines.cpu import abi, transposed, unpacked
from tidegate.engines.cpu.vector import Code, Int, Ptr, Vec, fma

#: Steps of k by which a tile prefetches its panels.
AHEAD = 16
#: Columns up to which it prefetches: the addresses of more would not fit into the integer registers.
FEW = 3


def symbol(code: Code, name: str) -> str:
    return abi.symbol(code.real_name, name)


def emit(code: Code) -> None:
    """Write the functions of this file into the module."""
    product(code, "product", fma)
    transpose(code, Ptr)
    pack_transposed(code, Ptr)
    pack_rows(code)
    gather_column(code, Ptr)
    scatter_rows(code)
    scatter_columns(code)
    unpacked.emit(code, "unpacked_product", unpacked.tile)


def heights(code: Code) -> range:
    return range(1, code.target.tile_rows + 1)


#: (x, w, sum) -> x w + sum, as a tile adds a number of `left` times a vector of `right` to its result.
MultiplyAdd = Callable[[Vec, Vec, Vec], Vec]


def tile(code: Code, rows: int, columns: int, multiply_add: MultiplyAdd) -> None:
    """tile_RxC(left, row stride, k stride; right, column stride, k stride; K; init, its column stride; out, its row
    stride): one register tile; every row starts from `init`."""
    with code.function(f"tile_{rows}x{columns}", "piipiiipipi", inline=False) as arguments:
        left, row_stride, k_left, right, column_stride, k_right, K, init, init_column, out, out_row = arguments
        start = [init.load(init_column * c) for c in range(columns)] * rows
        row_offset = [row_stride * r for r in range(rows)]
        column_offset = [column_stride * c for c in range(columns)]
        with code.accumulate([left, right, *start], 0, K) as (_, (x, w, *sums), following):
            weights = [w.load(o) for o in column_offset]
            for o in column_offset if columns <= FEW else []:
                (w + (k_right * AHEAD + o)).prefetch()
            for r in range(rows):
                value = x.splat(row_offset[r])
                for c in range(columns):
                    at = r * columns + c
                    following[2 + at] = multiply_add(value, weights[c], sums[at])
            following[:2] = [x + k_left, w + k_right]
        for r in range(rows):
            line = out + out_row * r
            for c in range(columns):
                line.store(following[2 + r * columns + c], c * code.lanes)


def product(code: Code, name: str, multiply_add: MultiplyAdd) -> None:
    """The tiles, and `name`(left, row stride, k stride, rows; right, column stride, k stride, columns; K; init; out,
    its row stride; add), columns counted in vectors; every row starts from the row `init`, or if that is null from
    zeros. With add != 0 the result is added to what is in `out`.

    The loop over columns is the outer one, so that a panel is read from the L1 cache for all rows but the first few.
    """
    for rows in heights(code):
        for columns in range(1, code.target.columns(rows) + 1):
            tile(code, rows, columns, multiply_add)
    with code.function(symbol(code, name), "piiipiiiippii", public=True) as arguments:
        left, row_stride, k_left, rows, right, column_stride, k_right, columns, K, init, out, out_row, add = arguments
        init_column = code.select(init.is_null, code.int(0), code.int(code.lanes))
        init = code.select(init.is_null, code.zeros(), init)
        aside, in_place = code.stack(max(code.target.columns(r) * r for r in heights(code))), add.equals(0)
        row_tiles = (rows + (code.target.tile_rows - 1)) // code.target.tile_rows
        tallest = (rows + row_tiles - 1) // row_tiles
        widest = code.int(0)
        for r in heights(code):
            widest = code.select(tallest.equals(r), code.int(code.target.columns(r)), widest)
        column_tiles = (columns + widest - 1) // widest
        with code.loop(0, column_tiles) as j:
            c0, c1 = columns * j // column_tiles, columns * (j + 1) // column_tiles
            with code.loop(0, row_tiles) as i:
                r0, r1 = rows * i // row_tiles, rows * (i + 1) // row_tiles
                to, aside_row = out + (out_row * r0 + c0 * code.lanes), (c1 - c0) * code.lanes
                operands = (
                    left + row_stride * r0, row_stride, k_left, right + column_stride * c0, column_stride, k_right, K,
                    init + init_column * c0, init_column,
                    code.select(in_place, to, aside), code.select(in_place, out_row, aside_row),
                )  # fmt: skip
                with code.when(code.b.not_(in_place)), code.loop(0, r1 - r0) as r, code.loop(0, c1 - c0) as c:
                    (to + (out_row * r + c * code.lanes)).prefetch(to_write=True)
                _call_tile(code, r1 - r0, c1 - c0, operands)
                with code.when(code.b.not_(in_place)), code.loop(0, r1 - r0) as r, code.loop(0, c1 - c0) as c:
                    at = to + (out_row * r + c * code.lanes)
                    at.store(at.load() + (aside + (aside_row * r + c * code.lanes)).load())


def _call_tile(code: Code, rows: Int, columns: Int, operands: tuple[Int | Ptr, ...]) -> None:
    with code.case(rows, of=heights(code)) as row_cases:
        for r in row_cases:
            with code.case(columns, of=range(1, code.target.columns(r) + 1)) as column_cases:
                for c in column_cases:
                    code.call(f"tile_{r}x{c}", *operands)


def pack_transposed(code: Code, kind: type[Ptr]) -> None:
    """pack_transposed(source, row stride, units, K; target, group stride, k stride; addend, its group stride): for
    every group of `lanes` rows of `source` and every k, target[group, k, lane] = source[group * lanes + lane, k] +
    addend[group, lane], with zeros for rows beyond `units`. The source is an address of this kind."""
    with code.function(symbol(code, f"{kind.tag}pack_transposed"), "piiipiipi", public=True) as (at, *arguments):
        row_stride, units, K, target, group_stride, k_stride, addend, addend_stride = arguments
        source = kind(code, at.v)
        n, nothing = code.lanes, addend.is_null
        square = code.stack(n)
        with code.loop(0, units, n) as u, code.loop(0, K, n) as k:
            group = u // n
            to = target + (group * group_stride + k * k_stride)
            corner, rows, columns = source + (u * row_stride + k), (units - u).least(n), (K - k).least(n)
            whole = code.b.and_(rows.equals(n), columns.equals(n))
            with code.either(whole) as (direct, edge):
                with direct:
                    code.call(f"{kind.tag}transpose", corner, row_stride, to, k_stride)
                with edge:
                    with code.loop(0, n) as i:
                        present = code.select(rows > i, columns, code.int(0))
                        square.store((corner + row_stride * i).load(0, code.first_lanes(present)), i * n)
                    code.call("transpose", square, code.int(n), square, code.int(n))
                    with code.loop(0, columns) as i:
                        (to + k_stride * i).store(square.load(i * n))
            with code.when(code.b.not_(nothing)), code.loop(0, columns) as i:
                line = to + k_stride * i
                line.store(line.load() + addend.load(group * addend_stride))


def transpose(code: Code, kind: type[Ptr]) -> None:
    """transpose(source, row stride; target, row stride): a square of vectors, target[j, i] = source[i, j]; in place
    if both are the same. The source is an address of this kind."""
    with code.function(f"{kind.tag}transpose", "pipi", inline=False) as (at, row_stride, target, target_stride):
        n, source = code.lanes, kind(code, at.v)
        rows = []
        for _ in range(n):
            rows.append(source.load())
            source += row_stride
        for row in transposed.square(code, rows):
            target.store(row)
            target += target_stride


def pack_rows(code: Code) -> None:
    """pack_rows(source, row stride, rows, columns; target, group stride): target[group, row, lane] =
    source[row, group * lanes + lane], with zeros beyond `columns`."""
    with code.function(symbol(code, "pack_rows"), "piiipi", public=True) as arguments:
        source, row_stride, rows, columns, target, group_stride = arguments
        n = code.lanes
        whole = columns // n
        with code.loop(0, rows) as r:
            row = source + r * row_stride
            with code.loop(0, whole) as g:
                (target + (g * group_stride + r * n)).store(row.load(g * n))
            with code.when((columns % n) > 0):
                edge = row.load(whole * n, code.first_lanes(columns % n))
                (target + (whole * group_stride + r * n)).store(edge)


def gather_column(code: Code, kind: type[Ptr]) -> None:
    """gather_column(source, row stride, units; target, group stride; addend, its group stride): target[group, lane] =
    source[group * lanes + lane, 0] + addend[group, lane], with zeros in place of the source beyond `units`. The sums
    have the bits of those of pack_transposed. The source is an address of this kind."""
    with code.function(symbol(code, f"{kind.tag}gather_column"), "piipipi", public=True) as (at, *arguments):
        row_stride, units, target, group_stride, addend, addend_stride = arguments
        source = kind(code, at.v)
        n, zero = code.lanes, code.vec(0.0)
        with code.loop(0, units, n) as u:
            group, count = u // n, (units - u).least(n)
            to = target + group * group_stride
            with code.accumulate([zero], 0, count) as (i, (before,), following):
                following[0] = code.select(code.first_lanes(i), before, (source + (u + i) * row_stride).splat())
            to.store(code.select(code.first_lanes(count), following[0], zero))
            with code.when(code.b.not_(addend.is_null)):
                to.store(to.load() + addend.load(group * addend_stride))


def scatter_rows(code: Code) -> None:
    """scatter_rows(source, row stride, rows, columns; index; target, row stride): target[index[r], :] += source[r, :],
    in the order of r."""
    with code.function(symbol(code, "scatter_rows"), "piiippi", public=True) as arguments:
        source, row_stride, rows, columns, index, target, target_stride = arguments
        n = code.lanes
        whole = columns // n * n
        with code.loop(0, rows) as r:
            row, to = source + r * row_stride, target + index.integer(r) * target_stride
            with code.loop(0, whole, n) as c:
                to.store(to.load(c) + row.load(c), c)
            with code.when((columns % n) > 0):
                mask = code.first_lanes(columns % n)
                to.store(to.load(whole, mask) + row.load(whole, mask), whole, mask)


def scatter_columns(code: Code) -> None:
    """scatter_columns(source, row stride, rows, columns; index; target, row stride): target[:, index[r]] +=
    source[r, :], in the order of r, as scatter_rows into a transposed target."""
    with code.function(symbol(code, "scatter_columns"), "piiippi", public=True) as arguments:
        source, row_stride, rows, columns, index, target, target_stride = arguments
        with code.loop(0, rows) as r:
            row, to = source + r * row_stride, target + index.integer(r)
            with code.loop(0, columns) as c:
                to.add_number(row + c, c * target_stride)
