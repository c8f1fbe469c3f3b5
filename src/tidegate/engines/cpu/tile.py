"""The matrix product, the part of a step where the time goes, and the packing of its operands.

`product` adds up out[r, c] = init[r, c] + sum_k left[r, k] right[k, c] with `rows` scalars of `left` against `columns`
vectors of `right`, a register tile of R x C accumulators at a time. All strides are free, so one kernel serves the
recurrent product, the input projection, the gradients of weights and sums over rows.

Every element of the result is one chain of fused multiply-adds in the order of k, whatever the tile it falls in. So its
bits do not depend on the batch it travels with, on the tile shapes, or on how rows and columns are dealt out to
threads.

Sizes and strides count numbers, not bytes. A *panel* is `right` packed as [column vector][k][lane], zero beyond the
edge.
"""

import llvmlite.ir as ir

from tidegate.engines.cpu.vector import Code, Int, Ptr, fma

#: Steps of k by which a tile asks for its panels ahead of time.
AHEAD = 16
#: Columns up to which it asks: the addresses of more would not fit the integer registers.
FEW = 3
#: Steps of k from which on it pays to ask at the start for the lines that the result will be written to.
LONG = 128


def symbol(code: Code, name: str) -> str:
    return f"tidegate_{code.real_name}_{name}"


def emit(code: Code) -> None:
    """Write the functions of this file into the module."""
    shapes = [(rows, columns) for rows in heights(code) for columns in range(1, code.target.columns(rows) + 1)]
    for rows, columns in shapes:
        tile(code, rows, columns)
    product(code)
    pack_transposed(code)
    pack_rows(code)
    scatter_rows(code)


def heights(code: Code) -> range:
    return range(1, code.target.tile_rows + 1)


def tile(code: Code, rows: int, columns: int) -> None:
    """tile_RxC(left, row stride, k stride; right, column stride, k stride; K; init, its row and column strides;
    out, its row stride; add): one register tile; stores it, or with add != 0 adds it to what is there."""
    with code.function(f"tile_{rows}x{columns}", "piipiiipiipii", inline=False) as arguments:
        left, row_stride, k_left, right, column_stride, k_right, K, init, init_row, init_column, out, out_row, add = (
            arguments
        )
        init_offset = [init_column * c for c in range(columns)]
        start = [line.load(o) for line in (init + init_row * r for r in range(rows)) for o in init_offset]
        row_offset = [row_stride * r for r in range(rows)]
        column_offset = [column_stride * c for c in range(columns)]
        with code.when(K >= LONG):
            for line in (out + out_row * r for r in range(rows)):
                for c in range(columns):
                    (line + c * code.lanes).prefetch(to_write=True)
        with code.accumulate([left, right, *start], 0, K) as (_, (x, w, *sums), following):
            weights = [w.load(o) for o in column_offset]
            for o in column_offset if columns <= FEW else []:
                (w + (k_right * AHEAD + o)).prefetch()
            for r in range(rows):
                value = x.splat(row_offset[r])
                for c in range(columns):
                    at = r * columns + c
                    following[2 + at] = fma(value, weights[c], sums[at])
            following[:2] = [x + k_left, w + k_right]
        sums = following[2:]
        with code.either(add.equals(0)) as (store, accumulate):
            with store:
                for r in range(rows):
                    line = out + out_row * r
                    for c in range(columns):
                        line.store(sums[r * columns + c], c * code.lanes)
            with accumulate:
                for r in range(rows):
                    line = out + out_row * r
                    for c in range(columns):
                        at = line + c * code.lanes
                        at.store(at.load() + sums[r * columns + c])


def product(code: Code) -> None:
    """product(left, row stride, k stride, rows; right, column stride, k stride, columns; K; init, its row stride;
    out, its row stride; add), columns counted in vectors; a null `init` means zeros.

    Columns go around the outside, so that a panel is read from the near cache for all rows but the first few.
    """
    with code.function(symbol(code, "product"), "piiipiiiipipii", public=True) as arguments:
        left, row_stride, k_left, rows, right, column_stride, k_right, columns, K, init, init_row, out, out_row, add = (
            arguments
        )
        zeros = code.zeros()
        init_column = code.select(init.is_null, code.int(0), code.int(code.lanes))
        init_row = code.select(init.is_null, code.int(0), init_row)
        init = code.select(init.is_null, zeros, init)
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
                operands = (
                    left + row_stride * r0, row_stride, k_left, right + column_stride * c0, column_stride, k_right, K,
                    init + (init_row * r0 + init_column * c0), init_row, init_column,
                    out + (out_row * r0 + c0 * code.lanes), out_row, add,
                )  # fmt: skip
                _call_tile(code, r1 - r0, c1 - c0, operands)


def _call_tile(code: Code, rows: Int, columns: Int, operands: tuple[Int | Ptr, ...]) -> None:
    with code.case(rows, of=heights(code)) as row_cases:
        for r in row_cases:
            with code.case(columns, of=range(1, code.target.columns(r) + 1)) as column_cases:
                for c in column_cases:
                    code.call(f"tile_{r}x{c}", *operands)


def pack_transposed(code: Code) -> None:
    """pack_transposed(source, row stride, units, K; target, group stride, k stride; addend, its group stride): for
    every group of `lanes` rows of `source` and every k, target[group, k, lane] = source[group * lanes + lane, k] +
    addend[group, lane], with zeros for rows beyond `units`."""
    with code.function(symbol(code, "pack_transposed"), "piiipiipi", public=True) as arguments:
        source, row_stride, units, K, target, group_stride, k_stride, addend, addend_stride = arguments
        addend_stride = code.select(addend.is_null, code.int(0), addend_stride)
        addend = code.select(addend.is_null, code.zeros(), addend)
        n = code.lanes
        with code.loop(0, units, n) as u, code.loop(0, K, n) as k:
            group = u // n
            to, plus = target + (group * group_stride + k * k_stride), addend.load(group * addend_stride)
            corner = source + (u * row_stride + k)
            full = code.b.and_((units - u) >= n, (K - k) >= n)
            with code.either(full) as (whole, edge):
                with whole:
                    rows = [corner.load(row_stride * i) for i in range(n)]
                    for i, v in enumerate(transpose(code, rows)):
                        to.store(v + plus, k_stride * i)
                with edge:
                    present = [code.select((units - u) > i, K - k, code.int(0)) for i in range(n)]
                    rows = [corner.load(row_stride * i, code.first_lanes(present[i])) for i in range(n)]
                    for i, v in enumerate(transpose(code, rows)):
                        with code.when((K - k) > i):
                            to.store(v + plus, k_stride * i)


def transpose(code: Code, rows: list) -> list:
    """The transpose of a square of vectors: log2(lanes) rounds that exchange halves, quarters, ... of pairs of rows."""
    n = code.lanes
    half = n // 2
    while half:
        swapped = list(rows)
        for i in range(n):
            if not i & half:
                low = [l if not l & half else n + l - half for l in range(n)]
                high = [l + half if not l & half else n + l for l in range(n)]
                for to, lanes in ((i, low), (i + half, high)):
                    order = ir.Constant(ir.VectorType(ir.IntType(32), n), lanes)
                    swapped[to] = type(rows[i])(code, code.b.shuffle_vector(rows[i].v, rows[i + half].v, order))
        rows, half = swapped, half // 2
    return rows


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
