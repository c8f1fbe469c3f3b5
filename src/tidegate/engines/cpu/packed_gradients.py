"""The gradients of a chunk of steps, with products on the matrix unit or of pairs of bfloat16 numbers."""

from collections.abc import Callable, Mapping

from tidegate.engines.cpu import matrix, pairs, tile
from tidegate.engines.cpu.forms import Packed
from tidegate.engines.cpu.gradients import Gradients
from tidegate.engines.cpu.kernel import ROWS, SIDE_BY_SIDE, in_blocks, null
from tidegate.engines.cpu.vector import Int, Ptr


class PackedGradients(Gradients):
    """As `Gradients`; the operands are packed by a module of `forms`."""

    packed: Packed

    def panel(self, rows: Int) -> Int:
        return self.packed.blocks(rows) * self.packed.PANEL

    def _pack_w(self, groups: tuple[Int, Int]) -> None:
        args, G = self.args, len(self.step.inputs)
        (g0, _), H, D = groups, args["H"], args["D"]
        panel = self.packed.blocks(H) * self.packed.PANEL
        for i in range(G):
            source = args.pointer("w_ih") + (H * D * i + g0 * self.code.lanes)
            to = args.pointer("packed_w") + (g0 * G + i) * panel
            self._pack(lambda u, source=source: source + D * u, H, self._units(groups, D), to, panel * G)

    def _pack_columns(self, source: Ptr, rows: Int, units: Int, to: Ptr, group: Int) -> None:
        stride = self.args["H"] * self.plan.blocks
        pack = tile.symbol(self.code, f"{self.packed.PREFIX}pack_left")
        self.code.call(pack, source, stride, rows, units, to, group)

    def _pack_right(self, source: Ptr, rows: Int, to: Ptr) -> None:
        (g0, _), H = self.my_groups, self.args["H"]
        units, first = self._units(self.my_groups, H), source + g0 * self.code.lanes
        self._pack(lambda r: first + H * r, rows, units, to + self.panel(rows) * g0, self.panel(rows))

    def _pack_x(self, low: Int, steps: Int, to: Ptr) -> None:
        B, groups = self.args["B"], self.share.slice_of(self.x_groups)
        rows, units = steps * B, self._units(groups, self.args["D"])

        def row(n: Int) -> Ptr:
            return self._x(low + n // B, n % B) + groups[0] * self.code.lanes

        self._pack(row, rows, units, to + self.panel(rows) * groups[0], self.panel(rows))

    def _pack(self, row: Callable[[Int], Ptr], rows: Int, columns: Int, to: Ptr, group: Int) -> None:
        self.packed.pack_rows(self.code, row, rows, columns, to, group, self.args.pointer("no_x"))

    def _inputs(self, low: Int, rows: Int) -> None:
        code, args, L, packed = self.code, self.args, self.code.lanes, self.packed
        H, blocks = args["H"], self.plan.blocks
        gate, count = packed.blocks(H) * packed.ROW, packed.blocks(H) * len(self.step.inputs)
        row = count * packed.ROW
        first, last = self.share.slice_of(rows)
        terms = args.pointer("x_terms") + first * row
        for i, name in enumerate(self.step.inputs):
            source = args.pointer("dq") + (first * blocks + self.plan.da[name]) * H
            to = terms + gate * i
            packed.split(code, source, H * blocks, last - first, H, to, row, (code.int(0), self.share.groups))
        with (
            in_blocks(code, (code.int(0), self.x_groups), SIDE_BY_SIDE) as (g0, g1),
            in_blocks(code, (first, last), ROWS) as (r0, r1),
        ):
            left, width = terms + (r0 - first) * row, g1 - g0
            panel = args.pointer("packed_w") + g0 * count * packed.PANEL
            packed.of_rows(code, left, row, r1 - r0, panel, width, count, null(code), self.scratch, width * L)
            self._store_inputs(low, (r0, r1), (g0, g1))


class MatrixGradients(PackedGradients):
    """On the matrix unit, which multiplies two groups of units at a time."""

    packed = matrix

    def _weights(self, name: str, gates: Mapping[int, int], right: Ptr, columns: Int, rows: Int, add: Int) -> None:
        code, args, L = self.code, self.args, self.code.lanes
        H, stride, panel = args["H"], args[f"sum_{name}_b"], self.panel(rows)
        g0, g1 = self.my_groups
        for at, block in gates.items():
            with code.loop(g0, g1, 2) as g:
                units = self._units((g, (g + 2).least(g1)), H)
                out = args.pointer(f"sum_{name}") + (H * at + g * L) * stride
                code.call(
                    tile.symbol(code, "matrix_product"), self._left(block, g, rows), code.int(matrix.ROW), panel,
                    code.int(matrix.PANEL), units, units.least(L), right, panel, (columns + (L - 1)) // L,
                    matrix.blocks(rows), code.select(add.equals(0), null(code), out), stride, out, stride,
                )  # fmt: skip


class PairGradients(PackedGradients):
    """Of pairs of bfloat16 numbers."""

    packed = pairs

    def _weights(self, name: str, gates: Mapping[int, int], right: Ptr, columns: Int, rows: Int, add: Int) -> None:
        code, args, L = self.code, self.args, self.code.lanes
        H, stride, panel = args["H"], args[f"sum_{name}_b"], self.panel(rows)
        for at, block in gates.items():
            with code.loop(*self.my_groups) as g:
                out = args.pointer(f"sum_{name}") + (H * at + g * L) * stride
                code.call(
                    tile.symbol(code, f"{pairs.PREFIX}product"), self._left(block, g, rows), code.int(1),
                    code.int(pairs.PANEL), (H - g * L).least(L), right, panel, code.int(pairs.PANEL),
                    (columns + (L - 1)) // L, pairs.blocks(rows), null(code), out, stride, add,
                )  # fmt: skip
