"""What the forward and the backward kernel have in common: arguments, the work of a thread, barriers, and element-wise
phases."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import llvmlite.ir as ir

from tidegate.calculus import evaluate
from tidegate.calculus.expression import Expression
from tidegate.engines.cpu import functions, tile
from tidegate.engines.cpu.abi import APART, CALLERS
from tidegate.engines.cpu.bfloats import BFloats
from tidegate.engines.cpu.vector import I32, I64, VOID, Code, Int, Ptr, Value, Vec
from tidegate.engines.plan import Phase, Place

#: Iterations for which a barrier spins before it yields the core.
SPINS = 300
#: Rows whose products are computed together, followed by their element-wise phase while they are still in the L1 cache.
ROWS = 32
#: Vectors of columns that are computed together.
SIDE_BY_SIDE = 6


class Arguments:
    """The kernel's single argument: an array of 64-bit words, addresses and integers, by name."""

    def __init__(self, code: Code, names: Sequence[str], at: Ptr):
        self.code, self.at = code, at
        self.index = {name: i for i, name in enumerate(names)}

    def pointer(self, name: str) -> Ptr:
        at = self.at.pointer(self.index[name])
        if self.code.stored == "bfloat" and name.partition(".")[0] in CALLERS:
            return BFloats(self.code, at.v)
        return at

    def __getitem__(self, name: str) -> Int:
        return self.at.integer(self.index[name])


class Share:
    """The rows (sequences) and groups of units of one thread, and its barriers.

    The threads form `row_teams` groups of equal size. Threads of one group work on the same sequences, each on units of
    its own, and wait for each other after every product; the groups do not wait for each other inside the loop over
    time.
    """

    def __init__(self, code: Code, args: Arguments):
        self.code, self.args = code, args
        self.me, self.size = (
            Int(code, code.b.sext(code.b.call(code.declare(f"omp_get_{name}", I32, []), []), I64))
            for name in ("thread_num", "num_threads")
        )
        self.row_teams = code.select((self.size % args["row_teams"]).equals(0), args["row_teams"], code.int(1))
        self.peers = self.size // self.row_teams
        self.row_team, self.unit_share = self.me // self.peers, self.me % self.peers
        self.groups = (args["H"] + (code.lanes - 1)) // code.lanes
        self.rows = split(args["B"], self.row_team, self.row_teams)
        self.units = split(self.groups, self.unit_share, self.peers)
        self._counters = args.pointer("barriers")
        self._passed = [StackSlot(code, 0), StackSlot(code, 0)]

    def slice_of(self, total: Int) -> tuple[Int, Int]:
        """[from, to) of this thread, where all threads divide `total` among them."""
        return split(total, self.me, self.size)

    @contextmanager
    def blocks(self, gates: int) -> Iterator[tuple[Int, Int, Int, Int]]:
        """Walk over the thread's rows and groups in blocks, (rows from, to, groups from, to), groups in the outer
        loop: about six vectors of columns together, and four times as many if there are few rows."""
        at_once = max(1, SIDE_BY_SIDE // max(gates, 1))
        few = self.rows[1] - self.rows[0] < 3
        groups = self.code.select(few, self.code.int(4 * at_once), self.code.int(at_once))
        with in_blocks(self.code, self.units, groups) as g, in_blocks(self.code, self.rows, ROWS) as r:
            yield *r, *g

    def wait_for_peers(self) -> None:
        """Wait for the threads that work on the same rows."""
        with self.code.when(self.peers > 1):
            self._barrier(self._counters.words((self.row_team + 1) * APART), self._passed[0], self.peers)

    def wait_for_all(self) -> None:
        with self.code.when(self.size > 1):
            self._barrier(self._counters, self._passed[1], self.size)

    def _barrier(self, counter: Ptr, passed: "StackSlot", of: Int) -> None:
        """Count this thread, then spin, later yield, until all are counted. The counter is never reset."""
        code, b = self.code, self.code.b
        passed.set(passed.get() + of)
        target = passed.get()
        b.atomic_rmw("add", counter.v, ir.Constant(I64, 1), "acq_rel")
        entry, spin, wait = b.block, b.append_basic_block("spin"), b.append_basic_block("wait")
        done = b.append_basic_block("done")
        b.branch(spin)
        b.position_at_end(spin)
        tries = b.phi(I64)
        tries.add_incoming(ir.Constant(I64, 0), entry)
        arrived = Int(code, b.load_atomic(counter.v, "acquire", 8, typ=I64)) >= target
        b.cbranch(arrived, done, wait)
        b.position_at_end(wait)
        if code.target.triple.startswith("x86"):
            b.call(code.declare("llvm.x86.sse2.pause", VOID, []), [])
        more = Int(code, tries) + 1
        with code.when(more > SPINS):
            b.call(code.declare("sched_yield", I32, []), [])
        tries.add_incoming(more.v, b.block)
        b.branch(spin)
        b.position_at_end(done)


class StackSlot:
    """An integer variable on the stack of the function being written."""

    def __init__(self, code: Code, value: int):
        self.code = code
        with code.b.goto_entry_block():
            self.at = code.b.alloca(I64)
            code.b.store(ir.Constant(I64, value), self.at)

    def get(self) -> Int:
        return Int(self.code, self.code.b.load(self.at, typ=I64))

    def set(self, value: Int) -> None:
        self.code.b.store(value.v, self.at)


def split(total: Int, i: Int, count: Int) -> tuple[Int, Int]:
    """[from, to) of share i of `count`, the shares as equal as possible."""
    return total * i // count, total * (i + 1) // count


@contextmanager
def in_blocks(code: Code, bounds: tuple[Int, Int], size: Int | int) -> Iterator[tuple[Int, Int]]:
    """Walk over [from, to) in equal blocks of at most `size`; yields the bounds of a block."""
    lo, hi = bounds
    count = (hi - lo + (code.int(size) - 1)) // size
    with code.loop(0, count) as j:
        start, end = split(hi - lo, j, count)
        yield lo + start, lo + end


Locate = Callable[[Place], Ptr]


class ElementWise:
    """Emits phases: loops over the rows and units of a block that load, compute and store full vectors."""

    def __init__(self, code: Code):
        self.code, self.table = code, functions.table(code)

    def units(self, H: Int, bounds: tuple[Int, Int], body: Callable[[Int, Value | None], None]) -> None:
        """Call `body(group, mask)` for full vectors without a mask, and for the last one with a mask if it is not
        full."""
        code = self.code
        whole = H // code.lanes
        with code.loop(bounds[0], bounds[1].least(whole)) as g:
            body(g, None)
        with code.when(bounds[1] > whole):
            body(whole, code.first_lanes(H % code.lanes))

    def values(self, phase: Phase, load: Callable[[Place], Vec]) -> list[tuple[Place, Vec]]:
        """The values that the phase stores, with their places."""
        given: Mapping[Expression, Vec] = {e: load(place) for e, place in phase.load.items()}
        found = evaluate([e for _, e in phase.store], given, self.table)
        return [(place, v) for (place, _), v in zip(phase.store, found)]


def product(code: Code, *operands: Int | Ptr | int) -> None:
    """Call the matrix product of `tile`."""
    code.call(tile.symbol(code, "product"), *(code.int(x) if isinstance(x, int) else x for x in operands))


def unpacked_or(args: Arguments, where: Ptr, row: Int, packed: tuple[Ptr, Int, Int]) -> tuple[Ptr, Int, Int]:
    """The right side of a product, (address, stride of vectors of columns, of k): rows of weights where they lie if
    `unpacked` is set, whose rows consist of whole vectors then; else `packed`."""
    code, is_packed = args.code, args["unpacked"].equals(0)
    there = where, code.int(code.lanes), row
    address, column, k = (code.select(is_packed, yes, no) for yes, no in zip(packed, there))
    return address, column, k


def null(code: Code) -> Ptr:
    return Ptr(code, ir.Constant(ir.PointerType(), None))
