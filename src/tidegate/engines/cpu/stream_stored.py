"""The forms in which a stream stores weights: how a product reads them as vectors of the arithmetic type.

A tile of C vectors holds, for every group of `steps` values of k, `stride` numbers for each vector, and zeros beyond K:

    real       k as it is
    bfloat16   two values of k in the halves of a 32-bit lane, the even one in the low half
    int8       two values of k as 8-bit integers in adjacent bytes; the product is multiplied by the scale of its unit
"""

from abc import ABC, abstractmethod

from llvmlite import ir

from tidegate.engines.cpu.vector import I32, Code, Int, Ptr, Value, Vec, fma, from_bits

I8 = ir.IntType(8)


class Stored(ABC):
    """One form; sizes count numbers of the arithmetic type."""

    name: str
    steps = 1

    @abstractmethod
    def stride(self, code: Code) -> int:
        """The size of a vector for a group of `steps` values of k."""

    @abstractmethod
    def load(self, at: Ptr) -> list[Vec]:
        """The vectors of a group, one for each value of k."""

    def start(self, init: Ptr) -> Vec:
        """What the sum over k starts from."""
        return init.load()

    def finish(self, total: Vec, init: Ptr, scale: Ptr) -> Vec:
        """The result, from the sum over k."""
        return total

    def alone(self, weight: Vec, scale: Ptr) -> Vec:
        """The value of one weight that was loaded."""
        return weight

    def size(self, code: Code, K: Int) -> Int:
        """The size of a vector for all k."""
        return (K + (self.steps - 1)) // self.steps * self.stride(code)

    def row(self, code: Code, at: Ptr, columns: Int, k: Int) -> tuple[Ptr, Int]:
        """Where k begins in a tile of so many vectors, and its place in its group."""
        return at + k // self.steps * columns * self.stride(code), k % self.steps


class Real(Stored):
    name = "real"

    def stride(self, code: Code) -> int:
        return code.lanes

    def load(self, at: Ptr) -> list[Vec]:
        return [at.load()]


class BFloat16(Stored):
    name = "bfloat16"
    steps = 2

    def stride(self, code: Code) -> int:
        return code.lanes

    def load(self, at: Ptr) -> list[Vec]:
        code, both = at.code, at.load().as_bits()
        low = code.b.shl(both, code.bit_vector(16))
        high = code.b.and_(both, code.bit_vector(0xFFFF0000))
        return [from_bits(code, low), from_bits(code, high)]


class Int8(Stored):
    """`load` gives numbers; where it can, a product uses `stream_integers`."""

    name = "int8"
    steps = 2

    def stride(self, code: Code) -> int:
        return code.lanes // 2

    def load(self, at: Ptr) -> list[Vec]:
        code, L = at.code, at.code.lanes
        pairs = code.b.load(at.v, align=1, typ=ir.VectorType(I8, 2 * L))
        return [self._numbers(code, pairs, list(range(first, 2 * L, 2))) for first in (0, 1)]

    def _numbers(self, code: Code, integers: Value, lanes: list[int]) -> Vec:
        order = ir.Constant(ir.VectorType(I32, code.lanes), lanes)
        chosen = code.b.shuffle_vector(integers, integers, order)
        whole = code.b.sext(chosen, ir.VectorType(code.bits, code.lanes))
        return Vec(code, code.b.sitofp(whole, code.vector))

    def start(self, init: Ptr) -> Vec:
        return init.code.vec(0.0)

    def finish(self, total: Vec, init: Ptr, scale: Ptr) -> Vec:
        return fma(total, scale.load(), init.load())

    def alone(self, weight: Vec, scale: Ptr) -> Vec:
        return weight * scale.load()


STORED: dict[str, Stored] = {stored.name: stored for stored in (Real(), BFloat16(), Int8())}
