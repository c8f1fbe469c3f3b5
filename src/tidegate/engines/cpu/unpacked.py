"""The matrix product with weights where they lie, for calls that use each of them once or twice.

Packing weights takes as long as several products of one row. Here squares of them are transposed in registers while
they are read. Every element of the result is one chain of fused multiply-adds in the order of k, so it has the bits of
the product in `tile`.
"""

from collections.abc import Callable

from tidegate.engines.cpu import abi, transposed
from tidegate.engines.cpu.vector import Code, Int, Ptr, Vec, fma

#: Rows of a tile, the tallest first. All rows of a tile share one reading of the weights.
HEIGHTS = (16, 8, 4, 2, 1)
#: Groups of units that a tile of one row computes side by side, because one chain of multiply-adds would wait for the
#: result of each. More groups would read more rows of weights at once than the processor's prefetcher follows.
SIDE_BY_SIDE = 2


def heights(code: Code) -> list[int]:
    """The entries of HEIGHTS whose accumulators take at most half of the registers. Beside 16 accumulators a square
    does not fit completely, but transposing it once for 16 rows takes less time than twice for 8."""
    return [rows for rows in HEIGHTS if 2 * rows <= code.target.registers]


def emit(code: Code, name: str, tile: Callable[[Code, int, int], None], kind: type[Ptr] = Ptr) -> None:
    """name(left, row stride, rows; weights, row stride, units, K; init; out, row stride, group stride):
    out[r, group, lane] = init[unit] + sum_k left[r, k] weights[unit, k] for every group of `lanes` units, 0 in the
    lanes beyond `units`. Rows start from zeros where `init` is null. `tile` writes the function for some rows and
    groups. Weights and `init` are addresses of this kind."""
    for rows in heights(code):
        tile(code, rows, 1)
    tile(code, 1, SIDE_BY_SIDE)
    with code.function(abi.symbol(code.real_name, name), "piipiiippii", public=True) as arguments:
        left, row_stride, rows, weights, weight_row, units, K, init, out, out_row, out_group = arguments
        weights, init = kind(code, weights.v), kind(code, init.v)
        # A masked load from address 0 is slow even where the mask has no lane.
        init_stride = code.select(init.is_null, code.int(0), code.int(1))
        init = code.select(init.is_null, kind(code, code.zeros().v), init)
        done = code.int(0)
        for height in heights(code):
            count = (rows - done) // height
            wide = code.lanes * SIDE_BY_SIDE
            first = units // wide * wide if height == 1 else code.int(0)
            for groups, start, end in ((SIDE_BY_SIDE, code.int(0), first), (1, first, units))[height > 1 :]:
                with code.loop(0, count) as i, code.loop(start, end, code.lanes * groups) as u:
                    r = done + i * height
                    code.call(
                        f"{name}_{height}x{groups}", left + row_stride * r, row_stride, weights + weight_row * u,
                        weight_row, units - u, K, init + init_stride * u,
                        out + (out_row * r + out_group * (u // code.lanes)), out_row, out_group,
                    )  # fmt: skip
            done = done + count * height


def tile(code: Code, rows: int, groups: int) -> None:
    """unpacked_product_RxG(left, row stride; weights, row stride, units, K; init; out, row stride, group stride)."""
    with code.function(f"unpacked_product_{rows}x{groups}", "pipiiippii", inline=False) as arguments:
        left, row_stride, weights, weight_row, units, K, init, out, out_row, out_group = arguments
        L = code.lanes
        inside = [code.first_lanes(units - g * L) for g in range(groups)]
        # Of the last group, the last unit is read again in place of units beyond it; several groups are always whole.
        offset = [weight_row * (code.int(i) if groups > 1 else (units - 1).least(i)) for i in range(groups * L)]
        state = [left, weights, *[init.load(g * L, inside[g]) for g in range(groups) for _ in range(rows)]]
        for count, rest in ((K // L, None), ((K % L).least(1), K % L)):
            mask = None if rest is None else code.first_lanes(rest)
            with code.accumulate(state, 0, count) as (_, (x, w, *sums), following):
                for g in range(groups):
                    if g:
                        code.keep_order()  # two squares at once would not fit into the registers
                    columns = transposed.square(code, [(w + o).load(0, mask) for o in offset[g * L : (g + 1) * L]])
                    for r in range(rows):
                        for k, column in enumerate(columns):
                            i = g * rows + r
                            sums[i] = add_product(code, sums[i], x + row_stride * r, k, column, rest)
                following[:] = [x + L, w + L, *sums]
            state = following
        for g in range(groups):
            for r in range(rows):
                value = code.select(inside[g], state[2 + g * rows + r], code.vec(0.0))
                (out + (out_row * r + out_group * g)).store(value)


def add_product(code: Code, total: Vec, x: Ptr, k: int, column: Vec, rest: Int | None) -> Vec:
    """total + x[k] column; `total` where k is beyond the `rest` of x."""
    if rest is None:
        return fma(x.splat(k), column, total)
    return code.select(rest > k, fma(x.splat((rest - 1).least(k)), column, total), total)
