"""Products of 8-bit weights with rows as 16-bit integers, on x86: one multiply-add of integers for 2 L weights.

A row x is divided by its scale so that its largest number becomes X, and rounded. X is 32767, or less where a sum of K
products of 127 X could exceed 32 bits. Sums are exact integers, and are then multiplied by the scales of row and unit;
a row that is not finite has a scale that is not finite, so its results are not finite either. A row is stored as

    L numbers        its scale
    K 16-bit integers, zeros up to a whole number of vectors
"""

from llvmlite import ir

from tidegate.engines.cpu.vector import I32, Code, Int, Ptr, Vec, fma

I16, I8 = ir.IntType(16), ir.IntType(8)
#: A number so large that adding it rounds to an integer, which is then the difference of bits.
BIG, BIG_BITS = 1.5 * 2.0**23, 0x4B400000
LARGEST_WEIGHT, LARGEST = 127, 32767
ROUND = "stream_round"


def supported(code: Code) -> bool:
    """Whether the target multiplies and adds pairs of 16-bit integers in whole vectors."""
    target = code.target
    return target.triple.startswith("x86") and (target.vector_bytes == 32 or "+avx512bw" in target.features)


def row_size(code: Code, K: Int) -> Int:
    """The size of a row as integers, in numbers."""
    return K.round_up(code.lanes) + code.lanes


def round_row(code: Code) -> None:
    """stream_round(x, K, to): the row x as integers."""
    with code.function(ROUND, "pip", inline=False) as (x, K, to):
        L, b = code.lanes, code.b
        whole, edge = K // L, code.first_lanes(K % L)
        bits, half = ir.VectorType(code.bits, L), ir.VectorType(I16, L)

        def larger(largest: Vec, values: Vec) -> Vec:  # NaN has larger bits than every number
            magnitude = b.and_(values.as_bits(), code.bit_vector(0x7FFFFFFF))
            return Vec(code, b.select(b.icmp_unsigned(">", magnitude, largest.v), magnitude, largest.v))

        with code.accumulate([Vec(code, code.bit_vector(0))], 0, whole) as (g, (so_far,), following):
            following[0] = larger(so_far, x.load(g * L))
        found = larger(following[0], x.load(whole * L, edge))
        b.store(code.intrinsic(f"llvm.vector.reduce.umax.v{L}i32", I32, found.v), to.v, align=4)
        steps = code.int(2**31 - 1) // (K * LARGEST_WEIGHT)
        b.store(b.sitofp(steps.least(LARGEST).v, code.real), (to + 1).v, align=4)
        largest, steps_vector = to.splat(), to.splat(1)
        inverse = code.select(largest.is_("==", 0.0), code.vec(0.0), steps_vector / largest)
        to.store(largest / steps_vector)

        def put(values: Vec, at: Int) -> None:
            rounded = b.sub(fma(values, inverse, code.vec(BIG)).as_bits(), code.bit_vector(BIG_BITS))
            place = b.gep((to + L).v, [at.v], source_etype=I16)
            b.store(b.trunc(b.bitcast(rounded, bits), half), place, align=2)

        with code.loop(0, whole) as g:
            put(x.load(g * L), g * L)
        with code.when((K % L) > 0):
            put(x.load(whole * L, edge), whole * L)


def tile(code: Code, rows: int, columns: int) -> None:
    """stream_tile_RxC(left as integers, its row stride; weights, scale, K; init; out, its row stride)."""
    name = f"stream_tile_{rows}x{columns}"
    with code.function(name, "pippippi", inline=False) as (left, row_stride, weights, scale, K, init, out, out_row):
        L, b = code.lanes, code.b
        stride, pairs = L // 2, ir.VectorType(I16, 2 * L)
        offsets = [row_stride * r for r in range(rows)]
        start = [Vec(code, code.bit_vector(0)) for _ in range(rows * columns)]
        with code.accumulate([left + L, weights, *start], 0, (K + 1) // 2) as (_, (x, w, *sums), following):
            both = [b.bitcast(x.splat(o).as_bits(), pairs) for o in offsets]
            for c in range(columns):
                stored = b.load((w + c * stride).v, align=1, typ=ir.VectorType(I8, 2 * L))
                weight = b.sext(stored, pairs)
                for r, value in enumerate(both):
                    total = b.add(sums[r * columns + c].v, multiply_add(code, value, weight))
                    sums[r * columns + c] = Vec(code, total)
            following[:] = [x + 1, w + columns * stride, *sums]
        for r, o in enumerate(offsets):
            of_row = (left + o).splat()
            for c in range(columns):
                total = Vec(code, b.sitofp(following[2 + r * columns + c].v, code.vector))
                result = fma(total, scale.load(c * L) * of_row, init.load(c * L))
                (out + out_row * r).store(result, c * L)


def multiply_add(code: Code, x: ir.Value, y: ir.Value) -> ir.Value:
    """x[2i] y[2i] + x[2i + 1] y[2i + 1] in 32 bits, for vectors of 16-bit integers."""
    name = "llvm.x86.avx512.pmaddw.d.512" if code.target.vector_bytes == 64 else "llvm.x86.avx2.pmadd.wd"
    return code.intrinsic(name, ir.VectorType(I32, code.lanes), x, y)


def round_rows(code: Code, left: Ptr, row_stride: Int, rows: Int, K: Int, to: Ptr) -> None:
    """Write so many rows as integers."""
    size = row_size(code, K)
    with code.loop(0, rows) as r:
        code.call(ROUND, left + row_stride * r, K, to + size * r)
