"""Gradients of weights, inputs, biases and vectors from the dq and da of a chunk of steps.

    dU_g = sum over rows of dq_g^T p        dc_g = sum of dq_g        dv = sum of its terms
    dW_g = sum over rows of da_g^T x        db_g = sum of da_g        dx = sum_g da_g W_g

with one row for each step and sequence. The threads divide the units of a gate (dU, dW), the rows (dx) and the columns
(sums) among them. Each element is one chain of additions over the rows of a chunk (for sums, over a few of its rows),
and the results of chunks are added in order, so the bits do not depend on the number of threads.
"""

from collections.abc import Iterable, Mapping

from tidegate.engines.cpu import tile
from tidegate.engines.cpu.abi import BLOCK
from tidegate.engines.cpu.kernel import (
    ROWS,
    SIDE_BY_SIDE,
    Arguments,
    ElementWise,
    Share,
    in_blocks,
    null,
    product,
    unpacked_or,
)
from tidegate.engines.cpu.vector import Code, Int, Ptr, Value
from tidegate.engines.plan import Backward, operand_state
from tidegate.engines.ragged import ACTIVE

#: Rows of dq that are packed and summed together: one block of the matrix unit's panels.
NEAR = BLOCK


class Gradients:
    """Emits the code of the backward kernel that computes the gradients of weights, inputs, biases and vectors."""

    def __init__(self, code: Code, plan: Backward, args: Arguments, share: Share, sums: Ptr, *, ragged: bool):
        self.code, self.plan, self.args, self.share, self.ragged = code, plan, args, share, ragged
        self.step, self.scratch = plan.step, sums
        self.my_groups = share.slice_of(share.groups)
        self.x_groups = (args["D"] + (code.lanes - 1)) // code.lanes

    @property
    def _dense(self) -> Value:
        return self.args.pointer("index").is_null

    def pack(self) -> None:
        """Panels of W for dx, by [group of inputs][gate, unit]."""
        code, args = self.code, self.args
        with code.when(code.b.and_(code.b.not_(args.pointer("d_x").is_null), args["unpacked"].equals(0))):
            self._pack_w(self.share.slice_of(self.x_groups))

    def _pack_w(self, groups: tuple[Int, Int]) -> None:
        code, args, L = self.code, self.args, self.code.lanes
        (g0, _), D, length = groups, args["D"], args["H"] * len(self.step.inputs)
        to, source = args.pointer("packed_w") + g0 * length * L, args.pointer("w_ih") + g0 * L
        code.call(tile.symbol(code, "pack_rows"), source, D, length, self._units(groups, D), to, length * L)

    def chunk(self, low: Int, steps: Int, add: Int) -> None:
        """All gradients from the rows of the steps [low, low + steps), with `add` on top of those of earlier chunks."""
        code, args = self.code, self.args
        rows, panels = steps * args["B"], args.pointer("right")
        needs_w_hh = code.b.not_(args.pointer("d_w_hh").is_null)
        needs_w_ih = code.b.not_(args.pointer("d_w_ih").is_null)
        dense = code.b.and_(needs_w_ih, self._dense)
        stages = range(len(self.step.stages))
        right = [panels + self.panel(rows) * (self.share.groups * k) for k in (*stages, len(stages))]
        # Reading dq from memory is slow, so all work on single rows is done for a few rows while they are in the cache.
        with code.loop(0, rows, NEAR) as r:
            count = (rows - r).least(NEAR)
            self._pack_left(self.plan.dq.values(), rows, r, count)
            with code.when(dense):
                self._pack_left(set(self.plan.da.values()) - set(self.plan.dq.values()), rows, r, count)
            with code.when(code.b.and_(needs_w_ih, code.b.not_(self._dense))):
                self._table(low, r, count)
            self._sums(r, count, code.select(r > 0, code.int(1), add))
        with code.when(needs_w_hh):
            for k in stages:
                self._pack_right(self._operand(k, low), rows, right[k])
        with code.when(dense):
            self._pack_x(low, steps, right[-1])
        self.share.wait_for_all()
        with code.when(needs_w_hh):
            for k, stage in enumerate(self.step.stages):
                blocks = {self.step.products.index(gate): self.plan.dq[gate] for gate in stage.gates}
                self._weights("w_hh", blocks, right[k], args["H"], rows, add)
        with code.when(dense):
            blocks = {at: self.plan.da[gate] for at, gate in enumerate(self.step.inputs)}
            self._weights("w_ih", blocks, right[-1], args["D"], rows, add)
        with code.when(code.b.not_(args.pointer("d_x").is_null)):
            self._inputs(low, rows)

    def panel(self, rows: Int) -> Int:
        """The size of a panel of one group of units and so many rows, in numbers."""
        return rows * self.code.lanes

    # -- gradients of matrices ------------------------------------------------------------------------------------

    def _operand(self, k: int, low: Int) -> Ptr:
        """Rows of the left side of stage k, from the first step of the chunk on."""
        args, s = self.args, operand_state(self.step, k)
        if s is None:
            return args.pointer("operand") + args["chunk"] * args["B"] * args["H"] * k
        name = self.step.state[s]
        return args.pointer(f"seq.{name}") + args[f"seq_t.{name}"] * (low + args["reverse"])

    def _units(self, groups: tuple[Int, Int], of: Int) -> Int:
        """How many of the `of` units (or inputs) a range of groups holds."""
        g0, g1 = groups
        return (g1 * self.code.lanes).least(of) - g0 * self.code.lanes

    def _left(self, block: int, group: Int, rows: Int) -> Ptr:
        """The panel of one block of dq for a group of units."""
        return self.args.pointer("left") + (self.share.groups * block + group) * self.panel(rows)

    def _pack_left(self, blocks: Iterable[int], rows: Int, first: Int, count: Int) -> None:
        """Pack some rows of dq and da of the thread's units, by [block][group][row]; no other thread reads them."""
        args, (g0, g1) = self.args, self.my_groups
        H = args["H"]
        for block in sorted(blocks):
            source = args.pointer("dq") + ((first * self.plan.blocks + block) * H + g0 * self.code.lanes)
            to = self._left(block, g0, rows) + self.panel(first)
            self._pack_columns(source, count, self._units((g0, g1), H), to, self.panel(rows))

    def _pack_columns(self, source: Ptr, rows: Int, units: Int, to: Ptr, group: Int) -> None:
        stride = self.args["H"] * self.plan.blocks
        self.code.call(tile.symbol(self.code, "pack_rows"), source, stride, rows, units, to, group)

    def _pack_right(self, source: Ptr, rows: Int, to: Ptr) -> None:
        """Pack this thread's share of the rows of an operand, by [group][row]."""
        (g0, _), H, L = self.my_groups, self.args["H"], self.code.lanes
        units = self._units(self.my_groups, H)
        pack = tile.symbol(self.code, "pack_rows")
        self.code.call(pack, source + g0 * L, H, rows, units, to + self.panel(rows) * g0, self.panel(rows))

    def _pack_x(self, low: Int, steps: Int, to: Ptr) -> None:
        """Pack the rows of the inputs as `_pack_right` does; zeros for steps beyond a sequence's end, whatever x holds
        there."""
        code, args, L = self.code, self.args, self.code.lanes
        B = args["B"]
        rows, groups = steps * B, self.share.slice_of(self.x_groups)
        count = code.int(1) if self.ragged else B
        with code.loop(0, steps) as i, code.loop(0, B, count) as r:
            source = self._x(low + i, r) + groups[0] * L
            at = to + (groups[0] * rows + B * i + r) * L
            units = self._units(groups, args["D"])
            code.call(tile.symbol(code, "pack_rows"), source, args["x_b"], count, units, at, rows * L)

    def _x(self, t: Int, r: Int) -> Ptr:
        """The address of the inputs of one step of one sequence; of a row of zeros beyond its end."""
        code, args = self.code, self.args
        source = args.pointer("x") + (args["x_t"] * t + args["x_b"] * r)
        if not self.ragged:
            return source
        alive = (args.pointer("mask").byte(t * args["B"] + r) % 2).equals(ACTIVE)
        return code.select(alive, source, args.pointer("no_x"))

    def _weights(self, name: str, gates: Mapping[int, int], right: Ptr, columns: Int, rows: Int, add: Int) -> None:
        """Blocks of a weight gradient, {row of blocks: block of dq}, for the thread's units and all columns."""
        code, args, L = self.code, self.args, self.code.lanes
        H, stride = args["H"], args[f"sum_{name}_b"]
        for at, block in gates.items():
            with code.loop(*self.my_groups) as g:
                out = args.pointer(f"sum_{name}") + (H * at + g * L) * stride
                product(
                    code, self._left(block, g, rows), 1, L, (H - g * L).least(L), right, rows * L, L,
                    (columns + (L - 1)) // L, rows, null(code), out, stride, add,
                )  # fmt: skip

    def _table(self, low: Int, first: Int, rows: Int) -> None:
        """For class indices: add some rows of da to the rows of their classes in `table` (D, Ga, H), or to the columns
        of their classes in (Ga, H, D)."""
        code, args, L = self.code, self.args, self.code.lanes
        H, width = args["H"], args["H"] * len(self.step.inputs)
        (g0, _), units = self.my_groups, self._units(self.my_groups, H)
        index = args.pointer("index").words(args["B"] * low + first)
        for at, gate in enumerate(self.step.inputs):
            source = args.pointer("dq") + (H * (first * self.plan.blocks + self.plan.da[gate]) + g0 * L)
            stride, unit = H * self.plan.blocks, H * at + g0 * L
            with code.either(args["direct"] > 0) as (columns, table):
                with columns:
                    to = args.pointer("table") + unit * args["D"]
                    code.call(tile.symbol(code, "scatter_columns"), source, stride, rows, units, index, to, args["D"])
                with table:
                    to = args.pointer("table") + unit
                    code.call(tile.symbol(code, "scatter_rows"), source, stride, rows, units, index, to, width)

    # -- gradients of inputs --------------------------------------------------------------------------------------

    def _runs(self) -> list[tuple[int, int, int]]:
        """da as ranges of consecutive blocks: (first gate of `inputs`, first block, number of blocks)."""
        runs: list[tuple[int, int, int]] = []
        for at, gate in enumerate(self.step.inputs):
            block = self.plan.da[gate]
            if runs and runs[-1][1] + runs[-1][2] == block:
                first, start, count = runs.pop()
                runs.append((first, start, count + 1))
            else:
                runs.append((at, block, 1))
        return runs

    def _inputs(self, low: Int, rows: Int) -> None:
        """dx for this thread's share of the rows."""
        code, args, L = self.code, self.args, self.code.lanes
        H, blocks = args["H"], self.plan.blocks
        length = H * len(self.step.inputs)
        columns = code.int(0), self.x_groups
        with (
            in_blocks(code, columns, SIDE_BY_SIDE) as (g0, g1),
            in_blocks(code, self.share.slice_of(rows), ROWS) as (r0, r1),
        ):
            width = g1 - g0
            for number, (gate, block, count) in enumerate(self._runs()):
                left = args.pointer("dq") + (r0 * blocks + block) * H
                panel = args.pointer("packed_w") + (g0 * length + H * gate) * L
                where = args.pointer("w_ih") + (H * args["D"] * gate + g0 * L)
                panel, column, row = unpacked_or(args, where, args["D"], (panel, length * L, code.int(L)))
                product(
                    code, left, H * blocks, 1, r1 - r0, panel, column, row, width, H * count,
                    null(code), self.scratch, width * L, int(number > 0),
                )  # fmt: skip
            self._store_inputs(low, (r0, r1), (g0, g1))

    def _store_inputs(self, low: Int, rows: tuple[Int, Int], groups: tuple[Int, Int]) -> None:
        """Copy a block of dx from scratch memory to its place."""
        code, args, L = self.code, self.args, self.code.lanes
        D, (g0, g1) = args["D"], groups
        with code.loop(*rows) as r:
            to = args.pointer("d_x") + (args["B"] * low + r) * D
            line = self.scratch + (r - rows[0]) * (g1 - g0) * L

            def body(g: Int, mask: Value | None) -> None:
                to.store(line.load((g - g0) * L), g * L, mask)

            ElementWise(code).units(D, groups, body)

    # -- sums over rows -------------------------------------------------------------------------------------------

    def _sums(self, first: Int, rows: Int, add: Int) -> None:
        """Every column of dq summed over some rows: a product with ones."""
        code, args, L = self.code, self.args, self.code.lanes
        width = args["H"] * self.plan.blocks
        v0, v1 = self.share.slice_of((width + (L - 1)) // L)
        product(
            code, code.ones(), 0, 0, 1, args.pointer("dq") + (first * width + v0 * L), L, width, v1 - v0, rows,
            null(code), args.pointer("sums") + v0 * L, 0, add,
        )  # fmt: skip

    def finish(self) -> None:
        """Copy this thread's share of the padded sums to their gradients; called after a barrier of all threads."""
        code, args = self.code, self.args
        H, D = args["H"], args["D"]
        for name, gates, columns in (("w_hh", self.step.products, H), ("w_ih", self.step.inputs, D)):
            to, source = args.pointer(f"d_{name}"), args.pointer(f"sum_{name}")
            dense = code.b.not_(to.is_null) if name == "w_hh" else code.b.and_(code.b.not_(to.is_null), self._dense)
            padded = code.b.icmp_unsigned("!=", to.v, source.v)
            with code.when(code.b.and_(dense, padded)):
                r0, r1 = self.share.slice_of(H * len(gates))
                with code.loop(r0, r1) as r:
                    self._copy(source + r * args[f"sum_{name}_b"], to + r * columns, columns)
        named = (
            ("d_b_ih", self.step.inputs, self.plan.da),
            ("d_b_hh", self.step.products, self.plan.dq),
            ("d_v", self.step.vectors, self.plan.dv),
        )
        for name, order, block in named:
            to = args.pointer(name)
            with code.when(code.b.and_(code.b.not_(to.is_null), self.share.me.equals(0))):
                for i, key in enumerate(order):
                    self._copy(args.pointer("sums") + H * block[key], to + H * i, H)

    def _copy(self, source: Ptr, to: Ptr, count: Int) -> None:
        code, L = self.code, self.code.lanes

        def body(g: Int, mask: Value | None) -> None:
            to.store(source.load(g * L, mask), g * L, mask)

        ElementWise(code).units(count, (code.int(0), (count + (L - 1)) // L), body)
