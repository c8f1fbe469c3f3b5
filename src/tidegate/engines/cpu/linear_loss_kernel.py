"""The kernels of a linear layer with cross-entropy: z = x W^T + b and, for each row with the target t,

    loss = log(sum_v e^(z_v - m)) - (z_t - m)      m = max_v z_v
    d    = e^(z - m) / sum_v e^(z_v - m) - onehot(t)

    dx = d W      dW = d^T x      db = sum of d over the rows      (all times `scale`)

d is written over the scores while these are in the cache. Each thread takes some of the rows, and for dW and db some of
the columns, so that every number is one sum in the order of the rows: its bits do not depend on the number of threads.
"""

from collections.abc import Callable
from operator import add

import llvmlite.ir as ir

from tidegate.engines.cpu import tile
from tidegate.engines.cpu.abi import APART
from tidegate.engines.cpu.functions import exp_of_negative, log, maximum
from tidegate.engines.cpu.kernel import ROWS, Arguments, ElementWise, Share, StackSlot, in_blocks, null, product
from tidegate.engines.cpu.linear_loss_abi import GRADIENT_ARGUMENTS, GRADIENTS, LOSS, LOSS_ARGUMENTS
from tidegate.engines.cpu.vector import I32, Code, Int, Ptr, Value, Vec

#: Numbers that are summed at once.
BLOCK = 4096


def emit(code: Code) -> None:
    """Write both kernels."""
    emit_loss(code)
    emit_gradients(code)


def emit_loss(code: Code) -> None:
    with code.function(LOSS, "p", public=True) as (at,):
        args, L = Arguments(code, list(LOSS_ARGUMENTS), at), code.lanes
        share, H, V = Share(code, args), args["H"], args["V"]
        groups = (V + (L - 1)) // L
        width, packed_w, packed_b = groups * L, args.pointer("packed_w"), args.pointer("packed_b")
        g0, g1 = share.slice_of(groups)
        classes = (g1 * L).least(V) - (g0 * L).least(V)
        code.call(
            tile.symbol(code, "pack_transposed"), args.pointer("w") + g0 * L * H, H, classes, H,
            packed_w + g0 * L * H, H * L, code.int(L), null(code), code.int(0),
        )  # fmt: skip

        def pack_bias(g: Int, mask: Value | None) -> None:
            b = args.pointer("b").load(g * L, mask)
            packed_b.store(b if mask is None else code.select(mask, b, code.vec(float("-inf"))), g * L)

        ElementWise(code).units(V, (g0, g1), pack_bias)
        share.wait_for_all()
        losses, minus_one = args.pointer("losses"), code.stack(1)
        minus_one.store(code.vec(-1.0))
        present, wrong = StackSlot(code, 0), StackSlot(code, 0)
        with in_blocks(code, share.slice_of(args["B"]), args["rows"]) as (r0, r1):
            first = code.select(args["keep"] > 0, r0, share.me * args["rows"])
            d = args.pointer("d") + first * width
            x, x_b = args.pointer("x"), args["x_b"]
            product(code, x + x_b * r0, x_b, 1, r1 - r0, packed_w, H * L, L, groups, H, packed_b, d, width, 0)
            with code.loop(0, r1 - r0) as r:
                t, row, loss = args.pointer("target").words(r0 + r).integer(), d + r * width, losses + (r0 + r)
                inside, ignored = code.b.and_(t >= 0, t < V), t.equals(args["ignored"])
                with code.either(code.b.and_(inside, code.b.not_(ignored))) as (counted, other):
                    with counted:
                        present.set(present.get() + 1)
                        loss.store(
                            softmax(code, row, groups, t, keep=args["keep"] > 0), 0, code.first_lanes(code.int(1))
                        )
                        with code.when(args["keep"] > 0):
                            (row + t).add_number(minus_one)
                    with other:
                        wrong.set(wrong.get() + code.select(ignored, code.int(0), code.int(1)))
                        loss.store(code.vec(0.0), 0, code.first_lanes(code.int(1)))
                        with code.when(args["keep"] > 0):
                            each_vector(code, row, groups, lambda _: code.vec(0.0))
        for word, slot in enumerate((present, wrong)):
            code.b.store(slot.get().v, args.pointer("counted").words(share.me * APART + word).v, align=8)
        share.wait_for_all()
        with code.when(share.me.equals(0)):
            total = sum_of(code, losses, args["B"])
            args.pointer("total").store(total)
            with code.accumulate([code.int(0)] * 2, 0, share.size) as (i, before, counts):
                for word in range(2):
                    counts[word] = before[word] + args.pointer("counted").integer(i * APART + word)
            for word in range(2):
                code.b.store(counts[word].v, args.pointer("found").words(word).v, align=8)
            one = ir.Constant(code.real, 1.0)
            store_quotient(code, args.pointer("share"), one, counts[0].most(1))
            first = code.b.extract_element(total.v, ir.Constant(I32, 0))
            store_quotient(code, args.pointer("mean"), first, counts[0])


def store_quotient(code: Code, at: Ptr, number: Value, count: Int) -> None:
    """Store number / count, computed in double precision and rounded."""
    double, b = ir.DoubleType(), code.b
    wide = number if code.real == double else b.fpext(number, double)
    found = b.fdiv(wide, b.sitofp(count.v, double))
    b.store(found if code.real == double else b.fptrunc(found, code.real), at.v, align=code.bytes)


def sum_of(code: Code, numbers: Ptr, count: Int) -> Vec:
    """The sum of some numbers in every lane, block by block, so that rounding errors stay small."""
    L = code.lanes
    with code.accumulate([code.vec(0.0)], 0, count, BLOCK) as (block, (before,), sums):
        end = (block + BLOCK).least(count)
        with code.accumulate([code.vec(0.0)], block, end, L) as (i, (partial,), following):
            following[0] = partial + numbers.load(i, code.first_lanes(end - i))
        sums[0] = before + following[0]
    return across(sums[0], add)


def softmax(code: Code, row: Ptr, groups: Int, t: Int, *, keep: Value) -> Vec:
    """The loss of a row of scores with target t, in every lane; with `keep` the row becomes its softmax."""
    L = code.lanes
    with code.accumulate([code.vec(float("-inf"))], 0, groups) as (g, (largest,), following):
        following[0] = maximum(largest, row.load(g * L))
    m = across(following[0], maximum)
    at_target = (row + t).splat() - m
    with code.accumulate([code.vec(0.0)], 0, groups) as (g, (total,), following):
        e = exp_of_negative(row.load(g * L) - m)
        row.store(e, g * L)
        following[0] = total + e
    total = across(following[0], add)
    with code.when(keep):
        share = 1.0 / total
        each_vector(code, row, groups, lambda e: e * share)
    return log(total) - at_target


def each_vector(code: Code, row: Ptr, groups: Int, change: Callable[[Vec], Vec]) -> None:
    with code.loop(0, groups) as g:
        row.store(change(row.load(g * code.lanes)), g * code.lanes)


def across(x: Vec, combine: Callable[[Vec, Vec], Vec]) -> Vec:
    """All lanes combined, the result in every lane."""
    code, half = x.code, x.code.lanes // 2
    while half:
        order = ir.Constant(ir.VectorType(I32, code.lanes), [lane ^ half for lane in range(code.lanes)])
        x = combine(x, Vec(code, code.b.shuffle_vector(x.v, x.v, order)))
        half //= 2
    return x


def emit_gradients(code: Code) -> None:
    with code.function(GRADIENTS, "p", public=True) as (at,):
        args, L = Arguments(code, list(GRADIENT_ARGUMENTS), at), code.lanes
        share, V = Share(code, args), args["V"]
        with code.when(code.b.not_(args.pointer("d_x").is_null)):
            emit_inputs(code, args, share)
        wide = (V + (L - 1)) // L
        steps, count = args["rows"], args["B"]
        with code.loop(0, count, steps) as r:
            rows, more = (count - r).least(steps), code.select(r > 0, code.int(1), code.int(0))
            d = args.pointer("d") + r * wide * L
            with code.when(code.b.not_(args.pointer("d_w").is_null)):
                emit_weights(code, args, share.slice_of(share.groups), (r, rows, more), d, wide * L)
            with code.when(code.b.not_(args.pointer("d_b").is_null)):
                v0, v1 = share.slice_of(wide)
                product(
                    code, code.ones(), 0, 0, 1, d + v0 * L, L, wide * L, v1 - v0, rows, null(code),
                    args.pointer("sum_b") + v0 * L, 0, more,
                )  # fmt: skip
        for name, rows, columns, groups in (("w", V, args["H"], share.groups), ("b", code.int(1), V, wide)):
            with code.when(code.b.not_(args.pointer(f"d_{name}").is_null)):
                emit_scaled(code, args, name, (rows, columns), share.slice_of(groups))


def emit_scaled(code: Code, args: Arguments, name: str, size: tuple[Int, Int], bounds: tuple[Int, Int]) -> None:
    """Some columns of a gradient of `size`, from its sum, whose rows are padded to whole vectors."""
    (rows, columns), scale, sums, out = size, args.pointer("scale").splat(), *(
        args.pointer(f"{kind}_{name}") for kind in ("sum", "d")
    )  # fmt: skip
    with code.loop(0, rows) as r:
        row, to = sums + r * columns.round_up(code.lanes), out + r * columns

        def store(g: Int, mask: Value | None) -> None:
            to.store(row.load(g * code.lanes) * scale, g * code.lanes, mask)

        ElementWise(code).units(columns, bounds, store)


def emit_inputs(code: Code, args: Arguments, share: Share) -> None:
    """dx: each thread packs some columns of W, and computes some rows."""
    L, H, V, groups, packed = code.lanes, args["H"], args["V"], share.groups, args.pointer("packed_w")
    (g0, g1), wide = share.slice_of(groups), (V + (L - 1)) // L * L
    to, scale = packed + g0 * V * L, args.pointer("scale").splat()
    units = (g1 * L).least(H) - (g0 * L).least(H)
    code.call(tile.symbol(code, "pack_rows"), args.pointer("w") + g0 * L, H, V, units, to, V * L)
    each_vector(code, to, (g1 - g0) * V, lambda x: x * scale)
    share.wait_for_all()
    with in_blocks(code, share.slice_of(args["B"]), ROWS) as (r0, r1):
        d, out = args.pointer("d") + r0 * wide, args.pointer("d_x") + r0 * groups * L
        product(code, d, wide, 1, r1 - r0, packed, V * L, L, groups, V, null(code), out, groups * L, 0)


def emit_weights(
    code: Code, args: Arguments, columns: tuple[Int, Int], which: tuple[Int, Int, Int], d: Ptr, wide: Int
) -> None:
    """Add to dW, in some columns, the sum over `which` = (first row, number of rows, whether it is added)."""
    L, (g0, g1), (first, rows, more) = code.lanes, columns, which
    H, V = args["H"], args["V"]
    x, right, groups = args.pointer("x") + (args["x_b"] * first + g0 * L), args.pointer("right"), (H + (L - 1)) // L
    to, units = right + g0 * args["rows"] * L, (g1 * L).least(H) - (g0 * L).least(H)
    code.call(tile.symbol(code, "pack_rows"), x, args["x_b"], rows, units, to, rows * L)
    out = args.pointer("sum_w") + g0 * L
    product(code, d, 1, wide, V, to, rows * L, L, g1 - g0, rows, null(code), out, groups * L, more)
