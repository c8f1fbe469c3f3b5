"""bfloat16 numbers in memory: addresses whose numbers are widened to float32 where they are read, and rounded to
nearest, ties to even, where they are written.

Widening is exact, and rounding is correct for every number, also below 2^-126: both use integer operations, because the
processor's instruction for rounding takes such numbers as zero.
"""

from __future__ import annotations

import llvmlite.ir as ir

from tidegate.engines.cpu.vector import I32, VOID, Code, Int, Ptr, Value, Vec, from_bits

I16 = ir.IntType(16)
#: The upper half of a float32 NaN.
NAN = 0x7FC0


class BFloats(Ptr):
    """An address of bfloat16 numbers, as `Ptr` is one of float32 numbers."""

    tag = "bfloats_"

    def __add__(self, o: Int | int) -> BFloats:
        if self.code.int(o).known == 0:
            return self
        return BFloats(self.code, self.code.b.gep(self.v, [self.code.int(o).v], source_etype=I16))

    def load(self, o: Int | int = 0, mask: Value | None = None) -> Vec:
        return widened(self.code, self.halves(o, mask))

    def store(self, value: Vec, o: Int | int = 0, mask: Value | None = None) -> None:
        code, at, halves = self.code, (self + o).v, narrowed(value)
        if mask is None:
            code.b.store(halves, at, align=2)
        else:
            code.intrinsic(f"llvm.masked.store.v{code.lanes}i16.p0", VOID, halves, at, ir.Constant(I32, 2), mask)

    def splat(self, o: Int | int = 0) -> Vec:
        code = self.code
        return widened(code, code._spread(code.b.load((self + o).v, align=2, typ=I16), I16))

    def halves(self, o: Int | int = 0, mask: Value | None = None) -> Value:
        """As `load`, as 16-bit integers."""
        code, at, kind = self.code, (self + o).v, ir.VectorType(I16, self.code.lanes)
        if mask is None:
            return code.b.load(at, align=2, typ=kind)
        align, zero = ir.Constant(I32, 2), ir.Constant(kind, None)
        return code.intrinsic(f"llvm.masked.load.v{code.lanes}i16.p0", kind, at, align, mask, zero)


def widened(code: Code, halves: Value) -> Vec:
    bits = code.b.zext(halves, ir.VectorType(code.bits, code.lanes))
    return from_bits(code, code.b.shl(bits, code.bit_vector(16)))


def narrowed(value: Vec) -> Value:
    """The numbers rounded, as 16-bit integers; every NaN becomes the same one."""
    code = value.code
    b, bits, lanes = code.b, value.as_bits(), ir.VectorType(I16, code.lanes)
    odd = b.and_(b.lshr(bits, code.bit_vector(16)), code.bit_vector(1))
    up = b.add(bits, b.add(odd, code.bit_vector(0x7FFF)))
    found = b.trunc(b.lshr(up, code.bit_vector(16)), lanes)
    return b.select(value.is_("!=", value), ir.Constant(lanes, [NAN] * code.lanes), found)
