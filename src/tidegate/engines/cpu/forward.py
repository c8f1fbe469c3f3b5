"""The forward kernel: a whole sequence in one call.

Every thread packs a share of the weights. Then for each chunk of steps it projects inputs (a = x W + b; for class
indices a column of W, or a row of a table of all classes), and for each step and stage it multiplies by the packed U
and runs the element-wise phase while the product is in the L1 cache. States are written to sequences of T + 1 steps, so
that step t reads what step t - 1 wrote; without lengths and resets the sequence of the first state is also the layer's
output.

`abi` documents the arguments and the layouts of all buffers.
"""

from tidegate.engines.cpu import pair_rows, tile
from tidegate.engines.cpu.abi import FORWARD, PACK, Form, Products, forward_arguments
from tidegate.engines.cpu.forms import PACKED
from tidegate.engines.cpu.kernel import (
    ROWS,
    SIDE_BY_SIDE,
    Arguments,
    ElementWise,
    Share,
    null,
    product,
)
from tidegate.engines.cpu.projection import Projection
from tidegate.engines.cpu.vector import Code, Int, Ptr, Value, Vec
from tidegate.engines.plan import Forward, Phase, Place, operand_state
from tidegate.engines.ragged import ACTIVE, RESET


def emit(code: Code, plan: Forward, *, ragged: bool, products: Products) -> None:
    """Write the kernel and its phases into the module; inputs are projected in the form `products.of_chunks`."""
    writer = Writer(code, plan, ragged, products)
    writer.phases()
    writer.kernel()


class Writer:
    def __init__(self, code: Code, plan: Forward, ragged: bool, products: Products):
        self.code, self.plan, self.ragged, self.products = code, plan, ragged, products
        self.u_packing, self.w_packing = PACKED.get(products.recurrent), PACKED.get(products.of_chunks)
        self.step, self.element_wise = plan.step, ElementWise(code)
        self.inputs = Projection(code, plan.step, products.of_chunks)

    # -- the element-wise part ------------------------------------------------------------------------------------

    def phases(self) -> None:
        """Write the functions lead, phase0, phase1 and so on."""
        if self.plan.lead is not None:
            self.phase("lead", self.plan.lead, gates=0)
        for k, phase in enumerate(self.plan.phases):
            self.phase(f"phase{k}", phase, gates=len(self.step.stages[k].gates) if self.step.stages else 0)

    def phase(self, name: str, phase: Phase, *, gates: int) -> None:
        """name(arguments, product, t, first step of `a`, rows from, to, groups from, to): one phase on a block of the
        product, which has the columns of `gates` gates."""
        code, step, L = self.code, self.step, self.code.lanes
        with code.function(name, "ppiiiiii", inline=False) as (at, sums, t, low, r0, r1, g0, g1):
            args = Arguments(code, forward_arguments(self.plan), at)
            H, B, groups = args["H"], args["B"], (args["H"] + (L - 1)) // L
            with code.loop(r0, r1) as r:
                row = t * B + r
                base = self._rows(args, t, r, row, low, groups)
                alive, reset_next = self._mask(args, t, row) if self.ragged else (None, None)
                line = sums + (r - r0) * (g1 - g0) * (gates * L)

                def body(g: Int, mask: Value | None) -> None:
                    u = g * L

                    def load(place: Place) -> Vec:
                        if place.buffer == "q":
                            return line.load(((g - g0) * gates + place.block) * L)
                        if place.buffer == "a":
                            return base["a"].load((g * len(step.inputs) + place.block) * L)
                        if place.buffer == "saved":
                            return base["saved"].load((g * self.plan.saved + place.block) * L)
                        if place.buffer in ("old", "new", "operand"):
                            return base[f"{place.buffer}{place.block}"].load(u, mask)
                        return base[place.buffer].load(H * place.block + u, mask)

                    for place, value in self.element_wise.values(phase, load):
                        if place.buffer == "new":
                            self._store_state(base, place.block, value, u, H, mask, alive, reset_next)
                        elif place.buffer == "saved":
                            base["saved"].store(value, (g * self.plan.saved + place.block) * L)
                        elif place.buffer == "operand":
                            base[f"operand{place.block}"].store(value, u, mask)
                        else:
                            if place.buffer == "gate" and alive is not None:
                                value = code.select(alive, value, code.vec(0.0))
                            base[place.buffer].store(value, H * place.block + u, mask)

                self.element_wise.units(H, (g0, g1), body)

    def _rows(self, args: Arguments, t: Int, r: Int, row: Int, low: Int, groups: Int) -> dict[str, Ptr]:
        """Where row (t, r) of every buffer begins."""
        plan, step = self.plan, self.step
        H, B, code, L = args["H"], args["B"], self.code, self.code.lanes
        linear, reverse = (t - low) * B + r, args["reverse"]
        with code.either(self.from_table(args)) as (table, rows):
            with table:
                number = args.pointer("index").integer(row)
                end_table = code.b.block
            with rows:
                end_rows = code.b.block
        chosen = code.b.phi(linear.v.type)
        chosen.add_incoming(number.v, end_table)
        chosen.add_incoming(linear.v, end_rows)
        base = {
            "a": args.pointer("a") + Int(code, chosen) * (groups * (len(step.inputs) * code.lanes)),
            "v": args.pointer("v"),
            "saved": args.pointer("saved") + (t * B + r) * groups * (plan.saved * L),
            "cross": args.pointer("cross") + r * H * plan.cross,
            "gate": args.pointer("gate") + row * H * len(step.gates),
            "states": args.pointer("states") + row * H * len(step.state),
            "outputs": args.pointer("outputs") + row * H,
        }
        for i, s in enumerate(step.state):
            base[f"old{i}"] = args.pointer(f"seq.{s}") + (args[f"seq_t.{s}"] * (t + reverse) + r * H)
            base[f"new{i}"] = args.pointer(f"seq.{s}") + (args[f"seq_t.{s}"] * (t + 1 - reverse) + r * H)
        for k in range(len(step.stages)):
            at = self.first_operand(args, t) if k == 0 else args.pointer("operand") + B * H * k
            base[f"operand{k}"] = at + r * H
        return base

    def from_table(self, args: Arguments) -> Value:
        """Whether `a` has a row for each class, instead of one for each step and sequence."""
        return self.code.b.and_(self.code.b.not_(args.pointer("index").is_null), args["direct"].equals(0))

    def first_operand(self, args: Arguments, t: Int) -> Ptr:
        """The left side of stage 0 if it is not a state: even and odd steps have separate memory, as one is read while
        the other is written."""
        return args.pointer("operand") + args["B"] * args["H"] * (t % 2) * len(self.step.stages)

    def _mask(self, args: Arguments, t: Int, row: Int) -> tuple[Value, Value]:
        """Whether step t is within this sequence's length, and whether its state is reset before the next step."""
        mask = args.pointer("mask")
        following = row + (args["B"] - args["reverse"] * args["B"] * 2)
        return (mask.byte(row) % 2).equals(ACTIVE), mask.byte(following) >= RESET

    def _store_state(
        self, base: dict[str, Ptr], s: int, value: Vec, u: Int, H: Int,
        mask: Value | None, alive: Value | None, reset_next: Value | None,
    ) -> None:  # fmt: skip
        code, zero = self.code, self.code.vec(0.0)
        if alive is None or reset_next is None:
            base[f"new{s}"].store(value, u, mask)
            if s == 0 and code.stored is not None:
                base["outputs"].store(value, u, mask)
            if self.plan.traced:
                base["states"].store(value, H * s + u, mask)
            return
        kept = code.select(alive, value, base[f"old{s}"].load(u, mask))
        base[f"new{s}"].store(code.select(reset_next, zero, kept), u, mask)
        if self.plan.traced:
            base["states"].store(kept, H * s + u, mask)
        if s == 0:
            base["outputs"].store(code.select(alive, value, zero), u, mask)

    # -- the loop over time ---------------------------------------------------------------------------------------

    def kernel(self) -> None:
        code = self.code
        widest = max((len(stage.gates) for stage in self.step.stages), default=1)
        with code.function(PACK, "p", public=True) as (at,):
            args = Arguments(code, forward_arguments(self.plan), at)
            self.pack(args, Share(code, args))
        with code.function(FORWARD, "p", public=True) as (at,):
            args = Arguments(code, forward_arguments(self.plan), at)
            share = Share(code, args)
            sums = code.stack(ROWS * max(SIDE_BY_SIDE, widest))
            with code.when(args["prepared"].equals(0)):
                code.call(PACK, at)
            self.begin(args, share)
            share.wait_for_all()
            T, chunk, reverse = args["T"], args["chunk"], args["reverse"]
            with code.loop(0, T, chunk) as i0:
                i1 = (i0 + chunk).least(T)
                low = code.select(reverse.equals(0), i0, T - i1)
                with code.when(args.pointer("index").is_null):
                    if self.w_packing is not None:
                        share.wait_for_all()
                        self.inputs.project_packed(args, share, low, i1 - i0)
                        share.wait_for_all()
                    else:
                        self.inputs.project(args, share, low, i1 - i0)
                with code.when(args["direct"] > 0):
                    self.inputs.gather(args, share, low, i1 - i0)
                first = code.select(reverse.equals(0), i0, T - 1 - i0)
                if self.plan.lead is not None:
                    self.lead(args, sums, first, low, (*share.rows, *share.units))
                    share.wait_for_peers()
                with code.loop(i0, i1) as i:
                    t = code.select(reverse.equals(0), i, T - 1 - i)
                    self.one_step(args, share, sums, t, low, (i + 1) < i1)
            self.finish(args, share)
            if self.products.of_chunks is Form.TERMS:
                code.call(tile.symbol(code, "matrix_done"))

    def one_step(self, args: Arguments, share: Share, sums: Ptr, t: Int, low: Int, more: Value) -> None:
        code, step = self.code, self.step
        offset = 0
        for k in range(len(self.plan.phases)):
            gates = len(step.stages[k].gates) if step.stages else 0
            with share.blocks(gates) as (r0, r1, g0, g1):
                if gates:
                    before = share.groups * offset
                    if self.u_packing is None:
                        self.recurrent(args, self.left(args, k, t), k, before, (r0, r1, g0, g1), sums)
                    else:
                        pair_rows.product(self, args, k, t, before, (r0, r1, g0, g1), sums)
                code.call(f"phase{k}", args.at, sums, t, low, r0, r1, g0, g1)
                pair_rows.after_phase(self, args, self.plan.phases[k], t, (r0, r1, g0, g1))
                if self.plan.lead is not None and k + 1 == len(self.plan.phases):
                    with code.when(more):
                        self.lead(args, sums, t + 1 - args["reverse"] * 2, low, (r0, r1, g0, g1))
            share.wait_for_peers()
            offset += gates

    def recurrent(
        self, args: Arguments, left: Ptr, k: int, before: Int, block: tuple[Int, Int, Int, Int], sums: Ptr
    ) -> None:
        """The product of stage k on a block of rows and groups, in `sums`; `before` counts the vectors of columns that
        the earlier stages have in packed_u."""
        code, step, L, H = self.code, self.step, self.code.lanes, args["H"]
        r0, r1, g0, g1 = block
        gates, left, bias = step.stages[k].gates, left + r0 * H, args.pointer("b_hh")
        group = code.int(len(gates) * L)
        width = (g1 - g0) * group
        with code.either(args["unpacked"].equals(0)) as (packed, unpacked):
            with packed:
                at = (before + g0 * len(gates)) * L
                added = code.select(bias.is_null, null(code), args.pointer("packed_c") + at)
                panel, vectors = args.pointer("packed_u") + at * H, (g1 - g0) * len(gates)
                product(code, left, H, 1, r1 - r0, panel, H * L, L, vectors, H, added, sums, width, 0)
            with unpacked:
                for i, gate in enumerate(gates):
                    row = H * step.products.index(gate) + g0 * L
                    code.call(
                        tile.symbol(code, "unpacked_product"), left, H, r1 - r0,
                        args.pointer("w_hh") + row * H, H, (g1 * L).least(H) - g0 * L, H,
                        code.select(bias.is_null, null(code), bias + row), sums + i * L, width, group,
                    )  # fmt: skip

    def lead(self, args: Arguments, sums: Ptr, t: Int, low: Int, block: tuple[Int, ...]) -> None:
        """The operand of stage 0 of step t, on a block."""
        assert self.plan.lead is not None
        self.code.call("lead", args.at, sums, t, low, *block)
        pair_rows.after_phase(self, args, self.plan.lead, t, block)

    def left(self, args: Arguments, k: int, t: Int) -> Ptr:
        """The left side of stage k's product: rows of H numbers, one for every sequence."""
        s = operand_state(self.step, k)
        if s is None:
            return self.first_operand(args, t) if k == 0 else args.pointer("operand") + args["B"] * args["H"] * k
        name = self.step.state[s]
        return args.pointer(f"seq.{name}") + args[f"seq_t.{name}"] * (t + args["reverse"])

    # -- before and after -----------------------------------------------------------------------------------------

    def pack(self, args: Arguments, share: Share) -> None:
        """Pack this thread's share of the weights: panels by [group][gate], or for class indices a table with a row
        for each class."""
        code, step, L = self.code, self.step, self.code.lanes
        H, D = args["H"], args["D"]
        g0, g1 = share.slice_of(share.groups)
        u0, units = g0 * L, (g1 * L).least(H) - g0 * L
        packed = args["unpacked"].equals(0)

        def transpose(source: Ptr, *others: Int | Ptr) -> None:
            code.call(tile.symbol(code, f"{source.tag}pack_transposed"), source, *others)

        def bias(source: str, target: str, row: int, group_stride: Int | int, at: Int) -> None:
            with code.when(code.b.not_(args.pointer(source).is_null)):
                transpose(
                    args.pointer(source) + (H * row + u0), code.int(1), units, code.int(1), args.pointer(target) + at,
                    code.int(group_stride), code.int(L), null(code), code.int(0),
                )  # fmt: skip

        offset = 0
        for stage in step.stages:
            G = len(stage.gates)
            for i, gate in enumerate(stage.gates):
                row = step.products.index(gate)
                at = (share.groups * offset + g0 * G + i) * L
                source = args.pointer("w_hh") + (H * row + u0) * H
                with code.when(packed):
                    if self.u_packing is not None:
                        pair_rows.pack(self, args, source, units, share.groups * offset + g0 * G + i, G)
                    else:
                        transpose(
                            source, H, units, H, args.pointer("packed_u") + at * H, H * (G * L), code.int(L),
                            null(code), code.int(0),
                        )  # fmt: skip
                    bias("b_hh", "packed_c", row, G * L, at)
            offset += G
        G = len(step.inputs)
        table, dense = self.from_table(args), args.pointer("index").is_null
        if self.products.of_chunks is not Form.TERMS:
            dense = code.b.and_(dense, packed)
        for i in range(G):
            at = (g0 * G + i) * L
            bias("b_ih", "packed_b", i, G * L, at)
            weights = args.pointer("w_ih") + (H * i + u0) * D
            with code.when(table):
                added = code.select(args.pointer("b_ih").is_null, null(code), args.pointer("packed_b") + at)
                transpose(
                    weights, D, units, D, args.pointer("a") + at, code.int(G * L), share.groups * (G * L), added,
                    code.int(G * L),
                )  # fmt: skip
            with code.when(dense):
                if self.w_packing is not None:
                    panel = self.w_packing.blocks(D) * self.w_packing.PANEL
                    to = args.pointer("packed_w") + (g0 * G + i) * panel
                    code.call(
                        tile.symbol(code, f"{self.w_packing.PREFIX}{weights.tag}pack_right"), weights, D, units, D, to,
                        panel * G,
                    )  # fmt: skip
                else:
                    transpose(
                        weights, D, units, D, args.pointer("packed_w") + at * D, D * (G * L), code.int(L), null(code),
                        code.int(0),
                    )  # fmt: skip

    def begin(self, args: Arguments, share: Share) -> None:
        """Copy the initial states to the beginning of their sequences, as zeros where the first step resets them."""
        code, H, B, T, reverse = self.code, args["H"], args["B"], args["T"], args["reverse"]
        for s in self.step.state:
            with code.loop(*share.rows) as r:
                start = args.pointer(f"start.{s}") + args[f"start_b.{s}"] * r
                head = args.pointer(f"seq.{s}") + (args[f"seq_t.{s}"] * (T * reverse) + r * H)
                reset = None
                if self.ragged:
                    reset = args.pointer("mask").byte((T - 1) * reverse * B + r) >= RESET

                def body(g: Int, mask: Value | None, start=start, head=head, reset=reset) -> None:
                    value = start.load(g * code.lanes, mask)
                    value = value if reset is None else code.select(reset, code.vec(0.0), value)
                    head.store(value, g * code.lanes, mask)

                self.element_wise.units(H, share.units, body)
        pair_rows.first(self, args, share)

    def finish(self, args: Arguments, share: Share) -> None:
        """Copy the final states from the ends of their sequences."""
        code, H, T, reverse = self.code, args["H"], args["T"], args["reverse"]
        for s in self.step.state:
            with code.loop(*share.rows) as r:
                end = args.pointer(f"seq.{s}") + (args[f"seq_t.{s}"] * (T - T * reverse) + r * H)
                final = args.pointer(f"final.{s}") + r * H

                def body(g: Int, mask: Value | None, end=end, final=final) -> None:
                    final.store(end.load(g * code.lanes, mask), g * code.lanes, mask)

                self.element_wise.units(H, share.units, body)
