"""Integers, pointers and vectors whose Python operators emit LLVM instructions; kernels are written with them.

A kernel is an ordinary Python function; running it once emits the program. `Int` is a 64-bit integer, `Ptr` an
address, `Vec` one register of floating-point numbers, and `Code` the place where instructions go, with loops and
conditions as `with` blocks::

    with code.loop(0, n) as i:
        (y + i * lanes).store(a.load(i * lanes) * 2.0)

Arithmetic has no fast-math flag, and multiply-adds are fused only where `fma` is written: so NaN and infinity propagate
as in IEEE 754, and a value has the same bits in every kernel that computes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import llvmlite.ir as ir

from tidegate.engines.cpu.target import Target

I32, I64, ADDRESS, VOID = ir.IntType(32), ir.IntType(64), ir.PointerType(), ir.VoidType()

#: An LLVM value without a class of its own here: a condition, a mask of lanes, bits.
Value = Any


class Code:
    """Where instructions go: one LLVM module, the target it is for, the number type, that of the caller's tensors
    ("bfloat" if it is another), and the function being written."""

    def __init__(self, target: Target, real: str, stored: str | None = None):
        self.target, self.real_name, self.stored = target, real, stored
        self.real = ir.FloatType() if real == "float" else ir.DoubleType()
        self.bits = ir.IntType(32 if real == "float" else 64)
        self.bytes = 4 if real == "float" else 8
        self.lanes = target.lanes(real)
        self.vector = ir.VectorType(self.real, self.lanes)
        self.suffix = f"v{self.lanes}{'f32' if real == 'float' else 'f64'}"
        self.module = ir.Module()
        self.module.triple = target.triple
        self.b: Any = ir.IRBuilder()

    # -- functions ------------------------------------------------------------------------------------------------

    def declare(self, name: str, result: ir.Type, arguments: Sequence[ir.Type]) -> Any:
        """The function `name` of this module, declared on first use."""
        known = self.module.globals.get(name)
        return known or ir.Function(self.module, ir.FunctionType(result, arguments), name)

    @contextmanager
    def function(self, name: str, arguments: str, *, public: bool = False, inline: bool = True) -> Iterator[list]:
        """Write the body of `name`; `arguments` has one letter each: "p" a pointer, "i" an integer.

        Yields the arguments as `Ptr` and `Int`. Pointers are not `noalias`: they may overlap.
        """
        kinds = {"p": ADDRESS, "i": I64}
        function = self.declare(name, VOID, [kinds[letter] for letter in arguments])
        function.linkage = "external" if public else "internal"
        function.attributes.add("nounwind")
        if not inline:
            function.attributes.add("noinline")
        outer, self.b = self.b, ir.IRBuilder(function.append_basic_block("entry"))
        yield [Ptr(self, v) if letter == "p" else Int(self, v) for letter, v in zip(arguments, function.args)]
        self.b.ret_void()
        self.b = outer

    def call(self, name: str, *arguments: Int | Ptr) -> None:
        """Call a function written with `function`, here or in a module linked later."""
        values = [a.v for a in arguments]
        self.b.call(self.declare(name, VOID, [v.type for v in values]), values)

    def intrinsic(self, name: str, result: ir.Type, *arguments: Value) -> Value:
        return self.b.call(self.declare(name, result, [a.type for a in arguments]), arguments)

    # -- control --------------------------------------------------------------------------------------------------

    @contextmanager
    def loop(self, lo: Int | int, hi: Int | int, step: Int | int = 1) -> Iterator[Int]:
        """for i in range(lo, hi, step), step > 0."""
        with self.accumulate([], lo, hi, step) as (i, _, _):
            yield i

    @contextmanager
    def accumulate(
        self, start: Sequence, lo: Int | int, hi: Int | int, step: Int | int = 1
    ) -> Iterator[tuple[Int, list, list]]:
        """A loop that carries values in registers: yields (i, the values now, a list to put their successors in).

        After the block the list holds the final values.
        """
        b = self.b
        entry, head = b.block, b.append_basic_block("head")
        body, after = b.append_basic_block("body"), b.append_basic_block("after")
        b.branch(head)
        b.position_at_end(head)
        i = b.phi(I64)
        i.add_incoming(self.int(lo).v, entry)
        phis = [b.phi(v.v.type) for v in start]
        for phi, v in zip(phis, start):
            phi.add_incoming(v.v, entry)
        b.cbranch(b.icmp_signed("<", i, self.int(hi).v), body, after)
        b.position_at_end(body)
        values = [type(v)(self, phi) for v, phi in zip(start, phis)]
        following = list(values)
        yield Int(self, i), values, following
        i.add_incoming(b.add(i, self.int(step).v), b.block)
        for phi, v in zip(phis, following):
            phi.add_incoming(v.v, b.block)
        b.branch(head)
        b.position_at_end(after)
        following[:] = values

    @contextmanager
    def case(self, value: Int, of: Sequence[int]) -> Iterator[Iterator[int]]:
        """`with code.case(n, of=(1, 2)) as cases: for n in cases: ...` writes one branch per known value of `value`."""
        b = self.b
        after = b.append_basic_block("after")
        switch = b.switch(value.v, after)

        def branches() -> Iterator[int]:
            for known in of:
                block = b.append_basic_block(f"case{known}")
                switch.add_case(ir.Constant(I64, known), block)
                b.position_at_end(block)
                yield known
                b.branch(after)

        yield branches()
        b.position_at_end(after)

    @contextmanager
    def when(self, condition: Value) -> Iterator[None]:
        with self.b.if_then(condition):
            yield

    @contextmanager
    def either(self, condition: Value) -> Iterator[tuple]:
        """`with code.either(c) as (yes, no):` and inside it `with yes:` and `with no:`."""
        with self.b.if_else(condition) as branches:
            yield branches

    def keep_order(self) -> None:
        """Keep loads and stores that are written before this point before those that are written after it."""
        self.b.fence("acq_rel", targetscope="singlethread")

    # -- values ---------------------------------------------------------------------------------------------------

    def int(self, x: Int | int) -> Int:
        return x if isinstance(x, Int) else Int(self, ir.Constant(I64, x))

    def vec(self, x: Vec | float) -> Vec:
        return x if isinstance(x, Vec) else Vec(self, ir.Constant(self.vector, [float(x)] * self.lanes))

    def bit_vector(self, x: int) -> ir.Constant:
        return ir.Constant(ir.VectorType(self.bits, self.lanes), [x] * self.lanes)

    def select(self, condition: Value, yes, no):
        """`yes` where the condition holds (one bit, or one per lane), else `no`. A NaN in the other has no effect."""
        return type(yes)(self, self.b.select(condition, yes.v, no.v))

    def first_lanes(self, count: Int) -> Value:
        """A mask of the lanes below `count`."""
        lane = ir.Constant(ir.VectorType(I64, self.lanes), list(range(self.lanes)))
        return self.b.icmp_signed("<", lane, self._spread(count.v, I64))

    def _spread(self, scalar: Value, kind: ir.Type) -> Value:
        wide = ir.VectorType(kind, self.lanes)
        one = self.b.insert_element(ir.Constant(wide, ir.Undefined), scalar, ir.Constant(I32, 0))
        zeros = ir.Constant(ir.VectorType(I32, self.lanes), None)
        return self.b.shuffle_vector(one, ir.Constant(wide, ir.Undefined), zeros)

    def zeros(self) -> Ptr:
        """The address of one vector of zeros."""
        return self._constant("zeros", 0.0)

    def ones(self) -> Ptr:
        """The address of one vector of ones."""
        return self._constant("ones", 1.0)

    def _constant(self, name: str, value: float) -> Ptr:
        if name not in self.module.globals:
            filled: Any = ir.GlobalVariable(self.module, self.vector, name)
            filled.initializer = ir.Constant(self.vector, [value] * self.lanes)
            filled.global_constant, filled.linkage = True, "internal"
        return Ptr(self, self.module.globals[name])

    def stack(self, vectors: int) -> Ptr:
        """Memory for so many vectors on the stack of the function."""
        with self.b.goto_entry_block():
            memory: Any = self.b.alloca(self.vector, size=ir.Constant(I64, vectors))
            memory.align = self.target.vector_bytes
        return Ptr(self, memory)


class Int:
    """A 64-bit integer. Sums with 0 and products with 0 and 1 emit no instruction: LLVM would take longer to remove it
    than Python does."""

    def __init__(self, code: Code, v: Value):
        self.code, self.v = code, v

    def _with(self, emit, other: Int | int) -> Int:
        return Int(self.code, emit(self.v, self.code.int(other).v))

    def _compare(self, sign: str, other: Int | int) -> Value:
        return self.code.b.icmp_signed(sign, self.v, self.code.int(other).v)

    @property
    def known(self) -> int | None:
        """Its value, if that is a constant of the program; else None."""
        return self.v.constant if isinstance(self.v, ir.Constant) else None

    def __add__(self, o: Int | int) -> Int:
        o = self.code.int(o)
        if o.known == 0:
            return self
        return o if self.known == 0 else self._with(self.code.b.add, o)

    def __sub__(self, o: Int | int) -> Int:
        return self._with(self.code.b.sub, o)

    def __rsub__(self, o: Int | int) -> Int:
        return self.code.int(o) - self

    def __mul__(self, o: Int | int) -> Int:
        o = self.code.int(o)
        if o.known == 0 or self.known == 1:
            return o
        return self if o.known == 1 or self.known == 0 else self._with(self.code.b.mul, o)

    def __floordiv__(self, o: Int | int) -> Int:
        return self._with(self.code.b.sdiv, o)

    def __mod__(self, o: Int | int) -> Int:
        return self._with(self.code.b.srem, o)

    __radd__, __rmul__ = __add__, __mul__

    def __lt__(self, o: Int | int) -> Value:
        return self._compare("<", o)

    def __ge__(self, o: Int | int) -> Value:
        return self._compare(">=", o)

    def __gt__(self, o: Int | int) -> Value:
        return self._compare(">", o)

    def equals(self, o: Int | int) -> Value:
        return self._compare("==", o)

    def least(self, o: Int | int) -> Int:
        o = self.code.int(o)
        return self.code.select(self < o, self, o)

    def most(self, o: Int | int) -> Int:
        o = self.code.int(o)
        return self.code.select(self > o, self, o)

    def round_up(self, unit: int) -> Int:
        """The multiple of `unit` at or above this (non-negative) number."""
        return (self + (unit - 1)) // unit * unit


class Ptr:
    """An address; `+` moves it by whole numbers of the code's floating-point type, and `+ 0` emits no instruction.

    `tag` begins the names of functions that read such numbers, where there are some for other numbers too."""

    tag = ""

    def __init__(self, code: Code, v: Value):
        self.code, self.v = code, v

    def __add__(self, o: Int | int) -> Ptr:
        if self.code.int(o).known == 0:
            return self
        return Ptr(self.code, self.code.b.gep(self.v, [self.code.int(o).v], source_etype=self.code.real))

    def words(self, o: Int | int) -> Ptr:
        """The address `o` 64-bit words further."""
        return Ptr(self.code, self.code.b.gep(self.v, [self.code.int(o).v], source_etype=I64))

    def load(self, o: Int | int = 0, mask: Value | None = None) -> Vec:
        """A vector from here (+ o); lanes outside `mask` are not read and become 0."""
        code, at = self.code, (self + o).v
        if mask is None:
            return Vec(code, code.b.load(at, align=code.bytes, typ=code.vector))
        align, zero = ir.Constant(I32, code.bytes), code.vec(0.0).v
        return Vec(code, code.intrinsic(f"llvm.masked.load.{code.suffix}.p0", code.vector, at, align, mask, zero))

    def store(self, value: Vec, o: Int | int = 0, mask: Value | None = None) -> None:
        """Write a vector here (+ o); lanes outside `mask` are not written."""
        code, at = self.code, (self + o).v
        if mask is None:
            code.b.store(value.v, at, align=code.bytes)
        else:
            align = ir.Constant(I32, code.bytes)
            code.intrinsic(f"llvm.masked.store.{code.suffix}.p0", VOID, value.v, at, align, mask)

    def prefetch(self, *, to_write: bool = False) -> None:
        """Prefetch the cache line at this address; an address past the end of memory does no harm."""
        kind = [ir.Constant(I32, i) for i in (int(to_write), 3, 1)]  # into the L1 data cache
        self.code.intrinsic("llvm.prefetch.p0", VOID, self.v, *kind)

    def splat(self, o: Int | int = 0) -> Vec:
        """One number from here (+ o), in every lane."""
        code = self.code
        return Vec(code, code._spread(code.b.load((self + o).v, align=code.bytes, typ=code.real), code.real))

    def add_number(self, source: Ptr, o: Int | int = 0) -> None:
        """Add the number at `source` to the one here (+ o)."""
        code, at = self.code, (self + o).v
        here, there = (code.b.load(v, align=code.bytes, typ=code.real) for v in (at, source.v))
        code.b.store(code.b.fadd(here, there), at, align=code.bytes)

    def integer(self, word: Int | int = 0) -> Int:
        """The 64-bit integer at the given word."""
        return Int(self.code, self.code.b.load(self.words(word).v, align=8, typ=I64))

    def pointer(self, word: Int | int = 0) -> Ptr:
        """The address stored at the given word."""
        return Ptr(self.code, self.code.b.load(self.words(word).v, align=8, typ=ADDRESS))

    def byte(self, o: Int | int) -> Int:
        """The byte at offset `o`, as a number of 0 to 255."""
        at = self.code.b.gep(self.v, [self.code.int(o).v], source_etype=ir.IntType(8))
        return Int(self.code, self.code.b.zext(self.code.b.load(at, align=1, typ=ir.IntType(8)), I64))

    @property
    def is_null(self) -> Value:
        return self.code.b.icmp_unsigned("==", self.code.b.ptrtoint(self.v, I64), ir.Constant(I64, 0))


class Vec:
    """One register of floating-point numbers."""

    def __init__(self, code: Code, v: Value):
        self.code, self.v = code, v

    def _with(self, emit, o: Vec | float) -> Vec:
        return Vec(self.code, emit(self.v, self.code.vec(o).v))

    def __add__(self, o: Vec | float) -> Vec:
        return self._with(self.code.b.fadd, o)

    def __sub__(self, o: Vec | float) -> Vec:
        return self._with(self.code.b.fsub, o)

    def __rsub__(self, o: float) -> Vec:
        return self.code.vec(o) - self

    def __mul__(self, o: Vec | float) -> Vec:
        return self._with(self.code.b.fmul, o)

    def __truediv__(self, o: Vec | float) -> Vec:
        return self._with(self.code.b.fdiv, o)

    def __rtruediv__(self, o: float) -> Vec:
        return self.code.vec(o) / self

    def __neg__(self) -> Vec:
        return Vec(self.code, self.code.b.fneg(self.v))

    __radd__, __rmul__ = __add__, __mul__

    def is_(self, sign: str, o: Vec | float) -> Value:
        """Lane by lane comparison; false where either side is NaN ("!=": true there)."""
        compare = self.code.b.fcmp_unordered if sign == "!=" else self.code.b.fcmp_ordered
        return compare(sign, self.v, self.code.vec(o).v)

    def intrinsic(self, name: str, *others: Vec) -> Vec:
        """The LLVM intrinsic of that name on vectors: `x.intrinsic("sqrt")`."""
        values = [self.v, *(o.v for o in others)]
        return Vec(self.code, self.code.intrinsic(f"llvm.{name}.{self.code.suffix}", self.code.vector, *values))

    def as_bits(self) -> Value:
        return self.code.b.bitcast(self.v, ir.VectorType(self.code.bits, self.code.lanes))


def from_bits(code: Code, bits: Value) -> Vec:
    return Vec(code, code.b.bitcast(bits, code.vector))


def fma(x: Vec, y: Vec, z: Vec) -> Vec:
    """x y + z, rounded once."""
    return x.intrinsic("fma", y, z)
