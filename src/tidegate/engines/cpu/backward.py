"""The backward kernel: backpropagation through a whole sequence in one call.

Chunks of steps run from the last to the first. Within a chunk the loop over time carries the gradients with respect to
the states: phase 0 begins a step and computes dq of the last stage, each product d_p = sum_g dq_g U_g^T is followed by
its phase, and the last phase computes the gradients with respect to the old states. After a chunk all threads compute
the gradients of weights, inputs, biases and vectors from its dq, da and operands, one product each over all rows of the
chunk (`gradients`).

`abi` documents the arguments and the layouts of all buffers.
"""

from types import MappingProxyType

from tidegate.engines.cpu import tile
from tidegate.engines.cpu.abi import BACKWARD, Form, Products, backward_arguments
from tidegate.engines.cpu.forms import PACKED
from tidegate.engines.cpu.gradients import Gradients
from tidegate.engines.cpu.kernel import (
    ROWS,
    SIDE_BY_SIDE,
    Arguments,
    ElementWise,
    Share,
    null,
    product,
    unpacked_or,
)
from tidegate.engines.cpu.packed_gradients import MatrixGradients, PairGradients
from tidegate.engines.cpu.vector import Code, Int, Ptr, Value, Vec
from tidegate.engines.plan import Backward, Phase, Place
from tidegate.engines.ragged import RESET

#: The gradients of a chunk, by the form of its products.
GRADIENTS = MappingProxyType({Form.NUMBERS: Gradients, Form.TERMS: MatrixGradients, Form.PAIRS: PairGradients})


def emit(code: Code, plan: Backward, *, ragged: bool, products: Products) -> None:
    """Write the kernel and its phases into the module."""
    writer = _Writer(code, plan, ragged, products)
    for i, phase in enumerate(plan.phases):
        writer.phase(f"back{i}", phase, begin=i == 0)
    writer.kernel()


class _Writer:
    def __init__(self, code: Code, plan: Backward, ragged: bool, products: Products):
        self.code, self.plan, self.ragged, self.products = code, plan, ragged, products
        self.recurrent = PACKED.get(products.recurrent)
        self.step, self.element_wise = plan.step, ElementWise(code)

    # -- the element-wise part ------------------------------------------------------------------------------------

    def phase(self, name: str, phase: Phase, *, begin: bool) -> None:
        """name(arguments, product, t, first step of the chunk, rows from, to, groups from, to): one phase on a block.

        The phase that begins a step first adds the gradients given for the states of this step to those carried."""
        code, L, zero = self.code, self.code.lanes, self.code.vec(0.0)
        with code.function(name, "ppiiiiii", inline=False) as (at, sums, t, low, r0, r1, g0, g1):
            args = Arguments(code, backward_arguments(self.plan), at)
            H = args["H"]
            with code.loop(r0, r1) as r:
                base = self._rows(args, t, r, low)
                alive = reset = None
                if self.ragged:
                    byte = args.pointer("mask").byte(t * args["B"] + r)
                    alive, reset = (byte % 2).equals(1), byte >= RESET
                line = sums + (r - r0) * (g1 - g0) * L

                def body(g: Int, mask: Value | None) -> None:
                    u = g * L

                    def alone(value: Vec) -> Vec:
                        return value if alive is None else code.select(alive, value, zero)

                    def load(place: Place) -> Vec:
                        if place.buffer == "dp":
                            return line.load((g - g0) * L)
                        if place.buffer == "saved":
                            return base["saved"].load((g * self.plan.saved + place.block) * L)
                        if place.buffer in ("old", "new"):
                            return base[f"{place.buffer}{place.block}"].load(u, mask)
                        value = base[place.buffer].load(H * place.block + u, mask)
                        return alone(value) if place.buffer in ("carry", "gate") else value

                    if begin:
                        for i in range(len(self.step.state)):
                            total = base["carry"].load(H * i + u, mask)
                            if self.plan.traced:
                                total = total + base["d_states"].load(H * i + u, mask)
                            if i == 0:
                                total = total + alone(base["d_outputs"].load(u, mask))
                            base["carry"].store(total, H * i + u, mask)
                    for place, value in self.element_wise.values(phase, load):
                        if place.buffer == "carry" and alive is not None and reset is not None:
                            total = base["carry"].load(H * place.block + u, mask)
                            value = code.select(alive, code.select(reset, zero, value), total)
                        elif place.buffer != "carry":
                            value = alone(value)
                        to = base[f"operand{place.block}"] if place.buffer == "operand" else base[place.buffer]
                        to.store(value, u if place.buffer == "operand" else H * place.block + u, mask)

                self.element_wise.units(H, (g0, g1), body)

    def _rows(self, args: Arguments, t: Int, r: Int, low: Int) -> dict[str, Ptr]:
        """Where row (t, r) of every buffer begins."""
        plan, step = self.plan, self.step
        H, B, reverse, L = args["H"], args["B"], args["reverse"], self.code.lanes
        groups = (H + (L - 1)) // L
        row, here = t * B + r, (t - low) * B + r
        base = {
            "v": args.pointer("v"),
            "saved": args.pointer("saved") + row * groups * (plan.saved * L),
            "cross": args.pointer("cross") + r * H * plan.cross,
            "gate": args.pointer("gate") + row * H * len(step.gates),
            "carry": args.pointer("carry") + r * H * len(step.state),
            "d_states": args.pointer("d_states") + row * H * len(step.state),
            "d_outputs": args.pointer("d_outputs") + (args["d_outputs_t"] * t + args["d_outputs_b"] * r),
            "dq": args.pointer("dq") + here * H * plan.blocks,
        }
        for i, s in enumerate(step.state):
            base[f"old{i}"] = args.pointer(f"seq.{s}") + (args[f"seq_t.{s}"] * (t + reverse) + r * H)
            base[f"new{i}"] = args.pointer(f"seq.{s}") + (args[f"seq_t.{s}"] * (t + 1 - reverse) + r * H)
        for k in range(len(step.stages)):
            base[f"operand{k}"] = args.pointer("operand") + (args["chunk"] * B * k + here) * H
        return base

    # -- the loop over time ---------------------------------------------------------------------------------------

    def kernel(self) -> None:
        code, step, K = self.code, self.step, len(self.step.stages)
        with code.function(BACKWARD, "p", public=True) as (at,):
            args = Arguments(code, backward_arguments(self.plan), at)
            share = Share(code, args)
            sums = code.stack(ROWS * SIDE_BY_SIDE)
            gradients = GRADIENTS[self.products.of_chunks](code, self.plan, args, share, sums, ragged=self.ragged)
            self.pack(args, share)
            gradients.pack()
            self.begin(args, share)
            share.wait_for_all()
            T, chunk, reverse = args["T"], args["chunk"], args["reverse"]
            chunks = (T + chunk - 1) // chunk
            with code.loop(0, chunks) as c:
                i1 = T - c * chunk
                i0 = (i1 - chunk).most(0)
                low = code.select(reverse.equals(0), i0, T - i1)
                last = code.select(reverse.equals(0), i1 - 1, T - i1)
                self.run(args, 0, sums, last, low, (*share.rows, *share.units))
                share.wait_for_peers()
                with code.loop(0, i1 - i0) as i:
                    t = last - i + reverse * i * 2
                    more = (i + 1) < (i1 - i0)
                    for k in reversed(range(K)):
                        self.product(args, share, sums, k, t, low, more)
                        share.wait_for_peers()
                    if not step.stages:
                        with code.when(more):
                            self.run(args, 0, sums, t - 1 + reverse * 2, low, (*share.rows, *share.units))
                share.wait_for_all()
                add = code.select(c > 0, code.int(1), code.int(0))
                gradients.chunk(low, i1 - i0, add)
                share.wait_for_all()
            gradients.finish()
            self.finish(args, share)
            if Form.TERMS in self.products:
                code.call(tile.symbol(code, "matrix_done"))

    def run(self, args: Arguments, i: int, sums: Ptr, t: Int, low: Int, block: tuple[Int, ...]) -> None:
        """Phase i on a block; the dq that it wrote are then converted to the form of the recurrent products."""
        code, H, blocks = self.code, args["H"], self.plan.blocks
        code.call(f"back{i}", args.at, sums, t, low, *block)
        if self.recurrent is None:
            return
        r0, r1, g0, g1 = block
        for place, _ in self.plan.phases[i].store:
            if place.buffer == "dq" and place.block < len(self.step.products):
                source = args.pointer("dq") + (((t - low) * args["B"] + r0) * blocks + place.block) * H
                to = self.terms(args, t, place.block, r0)
                self.recurrent.split(code, source, H * blocks, r1 - r0, H, *to, (g0, g1))

    def terms(self, args: Arguments, t: Int, first: int, r: Int) -> tuple[Ptr, Int]:
        """The dq of a step as terms or pairs, from the gate `first` and row r on, and the row stride; even and odd
        steps have separate memory."""
        assert self.recurrent is not None
        gate = self.recurrent.blocks(args["H"]) * self.recurrent.ROW
        row = gate * len(self.step.products)
        return args.pointer("dq_terms") + ((t % 2 * args["B"] + r) * row + gate * first), row

    def product(self, args: Arguments, share: Share, sums: Ptr, k: int, t: Int, low: Int, more: Value) -> None:
        """d_p of stage k and the phase that follows it; after the last, the beginning of the next step."""
        code, step, L, K = self.code, self.step, self.code.lanes, len(self.step.stages)
        H, B = args["H"], args["B"]
        gates = step.stages[k].gates
        first = self.plan.dq[gates[0]]
        length = H * len(gates)
        with share.blocks(1) as (r0, r1, g0, g1):
            width = g1 - g0
            if self.recurrent is not None:
                left, row = self.terms(args, t, first, r0)
                count = self.recurrent.blocks(H) * len(gates)
                panel = args.pointer("packed_u") + self.panel(args, share, first, g0, len(gates))
                self.recurrent.of_rows(code, left, row, r1 - r0, panel, width, count, null(code), sums, width * L)
            else:
                left = args.pointer("dq") + (((t - low) * B + r0) * self.plan.blocks + first) * H
                panel = args.pointer("packed_u") + (share.groups * H * first + g0 * length) * L
                where = args.pointer("w_hh") + (H * H * step.products.index(gates[0]) + g0 * L)
                panel, column, row = unpacked_or(args, where, H, (panel, length * L, code.int(L)))
                product(
                    code, left, H * self.plan.blocks, 1, r1 - r0, panel, column, row, width, length,
                    null(code), sums, width * L, 0,
                )  # fmt: skip
            self.run(args, K - k, sums, t, low, (r0, r1, g0, g1))
            if k == 0:
                with code.when(more):
                    self.run(args, 0, sums, t - 1 + args["reverse"] * 2, low, (r0, r1, g0, g1))

    def panel(self, args: Arguments, share: Share, first: int, group: Int, gates: int) -> Int:
        """Where the panel of a stage for a group of units begins."""
        assert self.recurrent is not None
        return (share.groups * first + group * gates) * self.recurrent.blocks(args["H"]) * self.recurrent.PANEL

    # -- before and after -----------------------------------------------------------------------------------------

    def pack(self, args: Arguments, share: Share) -> None:
        """Pack this thread's share of U^T: for every stage panels by [group][gate, unit of dq]."""
        code, step, L, H = self.code, self.step, self.code.lanes, args["H"]
        g0, g1 = share.slice_of(share.groups)
        units = (g1 * L).least(H) - g0 * L
        for stage in step.stages:
            first, length = self.plan.dq[stage.gates[0]], H * len(stage.gates)
            for i, gate in enumerate(stage.gates):
                source = args.pointer("w_hh") + (H * H * step.products.index(gate) + g0 * L)
                if self.recurrent is not None:
                    count = self.recurrent.blocks(H) * self.recurrent.PANEL
                    to = args.pointer("packed_u") + (self.panel(args, share, first, g0, len(stage.gates)) + count * i)
                    self.recurrent.pack_rows(
                        code, lambda u, source=source: source + H * u, H, units, to, count * len(stage.gates),
                        args.pointer("no_x"),
                    )  # fmt: skip
                else:
                    to = args.pointer("packed_u") + (share.groups * H * first + g0 * length + H * i) * L
                    with code.when(args["unpacked"].equals(0)):
                        code.call(tile.symbol(code, "pack_rows"), source, H, H, units, to, length * L)

    def begin(self, args: Arguments, share: Share) -> None:
        """Start `carry` with the gradients with respect to the final states."""
        self._states(args, share, lambda i, r: args.pointer(f"d_final.{i}") + args[f"d_final_b.{i}"] * r, "load")

    def finish(self, args: Arguments, share: Share) -> None:
        """Copy `carry` to the gradients with respect to the initial states."""
        self._states(args, share, lambda i, r: args.pointer(f"d_start.{i}") + args["H"] * r, "store")

    def _states(self, args: Arguments, share: Share, outside, direction: str) -> None:
        code, H = self.code, args["H"]
        for i, s in enumerate(self.step.state):
            with code.loop(*share.rows) as r:
                carry = args.pointer("carry") + (r * len(self.step.state) + i) * H
                other = outside(s, r)
                source, to = (other, carry) if direction == "load" else (carry, other)

                def body(g: Int, mask: Value | None, source=source, to=to) -> None:
                    to.store(source.load(g * code.lanes, mask), g * code.lanes, mask)

                self.element_wise.units(H, share.units, body)
