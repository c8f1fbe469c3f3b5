"""The matrix product with weights where they lie, for calls that use each of them once or twice.

Packing weights takes as long as several products of one row. Here squares of them are transposed in registers while
they are read. Every element of the result is one chain of fused multiply-adds in the order of k, so it has the bits of
the product in `tile`.
"""

from collections.abc import Callable

from tidegate.engines.cpu import abi, transposed
from tidegate.engines.cpu.vector import Code, Int, Ptr, Vec, fma

#: Rows of a tile, the tallest first. All rows of a tile share one reading of the weights.
HEIGHTS = (8, 4, 2, 1)


def heights(code: Code) -> list[int]:
    """Those of HEIGHTS whose accumulators leave registers for a square."""
    return [rows for rows in HEIGHTS if 4 * rows <= code.target.registers]


def emit(code: Code, name: str, tile: Callable[[Code, int], None]) -> None:
    """name(left, row stride, rows; weights, row stride, units, K; init; out, row stride, group stride):
    out[r, group, lane] = init[unit] + sum_k left[r, k] weights[unit, k] for every group of `lanes` units, 0 in the
    lanes beyond `units`. Rows start from zeros where `init` is null. `tile` writes the function for some rows."""
    for rows in heights(code):
        tile(code, rows)
    with code.function(abi.symbol(code.real_name, name), "piipiiippii", public=True) as arguments:
        left, row_stride, rows, weights, weight_row, units, K, init, out, out_row, out_group = arguments
        # A masked load from address 0 is slow even where the mask has no lane.
        init_stride = code.select(init.is_null, code.int(0), code.int(1))
        init = code.select(init.is_null, code.zeros(), init)
        done = code.int(0)
        for height in heights(code):
            count = (rows - done) // height
            with code.loop(0, count) as i, code.loop(0, units, code.lanes) as u:
                r = done + i * height
                code.call(
                    f"unpacked_{height}", left + row_stride * r, row_stride, weights + weight_row * u, weight_row,
                    units - u, K, init + init_stride * u, out + (out_row * r + out_group * (u // code.lanes)), out_row,
                )  # fmt: skip
            done = done + count * height


def tile(code: Code, rows: int) -> None:
    """unpacked_R(left, row stride; weights, row stride, units, K; init; out, row stride): one group of units."""
    with code.function(f"unpacked_{rows}", "pipiiippi", inline=False) as arguments:
        left, row_stride, weights, weight_row, units, K, init, out, out_row = arguments
        L, inside = code.lanes, code.first_lanes(units)
        # The last unit is read again in place of units beyond it.
        offset = [weight_row * (units - 1).least(i) for i in range(L)]
        state = [left, weights, *[init.load(0, inside)] * rows]
        for count, rest in ((K // L, None), ((K % L).least(1), K % L)):
            mask = None if rest is None else code.first_lanes(rest)
            with code.accumulate(state, 0, count) as (_, (x, w, *sums), following):
                columns = transposed.square(code, [(w + o).load(0, mask) for o in offset])
                for r in range(rows):
                    for k, column in enumerate(columns):
                        sums[r] = add_product(code, sums[r], x + row_stride * r, k, column, rest)
                following[:] = [x + L, w + L, *sums]
            state = following
        for r in range(rows):
            (out + out_row * r).store(code.select(inside, state[2 + r], code.vec(0.0)))


def add_product(code: Code, total: Vec, x: Ptr, k: int, column: Vec, rest: Int | None) -> Vec:
    """total + x[k] column; `total` where k is beyond the `rest` of x."""
    if rest is None:
        return fma(x.splat(k), column, total)
    return code.select(rest > k, fma(x.splat((rest - 1).least(k)), column, total), total)
