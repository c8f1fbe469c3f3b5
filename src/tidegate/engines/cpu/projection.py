"""The projection of the inputs in the forward kernel, a = x W + b, ahead of the loop over time."""

from collections.abc import Iterator
from contextlib import contextmanager

from tidegate.calculus import Step
from tidegate.engines.cpu import tile
from tidegate.engines.cpu.abi import GROUP, Form
from tidegate.engines.cpu.bfloats import BFloats
from tidegate.engines.cpu.forms import PACKED
from tidegate.engines.cpu.kernel import ROWS, SIDE_BY_SIDE, Arguments, Share, in_blocks, null, product
from tidegate.engines.cpu.vector import Code, Int, Ptr, Value


class Projection:
    """Emits it for a step, with products in one form."""

    def __init__(self, code: Code, step: Step, form: Form):
        self.code, self.step, self.form, self.packing = code, step, form, PACKED.get(form)

    def gather(self, args: Arguments, share: Share, low: Int, steps: Int) -> None:
        """a = W[:, index] + b for the thread's rows and units and the steps [low, low + steps)."""
        code, L, G = self.code, self.code.lanes, len(self.step.inputs)
        B, D, H = args["B"], args["D"], args["H"]
        (r0, r1), (g0, g1) = share.rows, share.units
        units, bias = (g1 * L).least(H) - g0 * L, args.pointer("b_ih").is_null
        with code.loop(0, steps) as t, code.loop(r0, r1) as r:
            column = args.pointer("w_ih") + args.pointer("index").integer((low + t) * B + r)
            line = args.pointer("a") + (t * B + r) * share.groups * (G * L)
            for i in range(G):
                at = (g0 * G + i) * L
                code.call(
                    tile.symbol(code, f"{column.tag}gather_column"), column + (H * i + g0 * L) * D, D, units, line + at,
                    code.int(G * L), code.select(bias, null(code), args.pointer("packed_b") + at), code.int(G * L),
                )  # fmt: skip

    def project(self, args: Arguments, share: Share, low: Int, steps: Int) -> None:
        """a = x W + b for the thread's rows and units and the steps [low, low + steps); rows of all steps at once if
        they are evenly spaced in memory."""
        code, L, G = self.code, self.code.lanes, len(self.step.inputs)
        B, D = args["B"], args["D"]
        (r0, r1), (g0, g1) = share.rows, share.units
        line = share.groups * (G * L)
        panel = args.pointer("packed_w") + g0 * D * (G * L)
        bias = code.select(args.pointer("b_ih").is_null, null(code), args.pointer("packed_b") + g0 * (G * L))
        even, stride = self.spacing(args)
        even = code.b.and_(share.row_teams.equals(1), even)
        times = code.select(even, code.int(1), steps)
        rows = code.select(even, steps * B, r1 - r0)
        with code.loop(0, times) as i:
            x = args.pointer("x") + (args["x_t"] * (low + i) + args["x_b"] * r0)
            a = args.pointer("a") + ((B * i + r0) * line + g0 * (G * L))
            with code.either(args["unpacked"].equals(0)) as (packed, unpacked):
                with packed:
                    product(code, x, stride, 1, rows, panel, D * L, L, (g1 - g0) * G, D, bias, a, line, 0)
                with unpacked:
                    for k in range(G):
                        row = args["H"] * k + g0 * L
                        b = code.select(args.pointer("b_ih").is_null, null(code), args.pointer("b_ih") + row)
                        code.call(
                            tile.symbol(code, "unpacked_product"), x, stride, rows, args.pointer("w_ih") + row * D, D,
                            (g1 * L).least(args["H"]) - g0 * L, D, b, a + k * L, line, code.int(G * L),
                        )  # fmt: skip

    def project_packed(self, args: Arguments, share: Share, low: Int, steps: Int) -> None:
        """This thread's share of a = x W + b: convert the rows of x, unless they are a left side already, then multiply
        them by a few panels at a time, so that these stay in the L2 cache."""
        code, L, B, D, packing = self.code, self.code.lanes, args["B"], args["D"], self.packing
        assert packing is not None
        first, last = share.slice_of(steps * B)
        row = packing.blocks(D) * packing.ROW
        left, whole = args.pointer("x_terms") + first * row, (code.int(0), (D + (L - 1)) // L)

        def convert() -> None:
            with self.even_rows(args, first, last) as (r0, r1, x, stride):
                packing.split(code, x + args["x_t"] * low, stride, r1 - r0, D, left + (r0 - first) * row, row, whole)

        if isinstance(args.pointer("x"), BFloats):
            there, stride, usable = self.rows_of_pairs(args, low, first)
            with code.when(code.b.not_(usable)):
                convert()
            left, row = code.select(usable, there, left), code.select(usable, stride, row)
        else:
            convert()
        if self.form is Form.TERMS:
            self.multiply_packed(args, share, left, row, (first, last))
            return
        with code.either(args["unpacked"].equals(0)) as (packed, unpacked):
            with packed:
                self.multiply_packed(args, share, left, row, (first, last))
            with unpacked:
                self.multiply_unpacked(args, left, row, (first, last))

    def rows_of_pairs(self, args: Arguments, low: Int, first: Int) -> tuple[Ptr, Int, Value]:
        """Rows of bfloat16 numbers as a left side where they lie, from number `first` of the chunk on: address and
        stride in pairs, and whether they are one, which takes whole groups of numbers and evenly spaced rows."""
        code, (even, stride) = self.code, self.spacing(args)
        at = args.pointer("x") + (args["x_t"] * low + stride * first)
        pairs = code.b.and_((args["D"] % GROUP).equals(0), (stride % 2).equals(0))
        return Ptr(code, at.v), stride // 2, code.b.and_(even, pairs)

    def multiply_packed(self, args: Arguments, share: Share, terms: Ptr, row: Int, rows: tuple[Int, Int]) -> None:
        """a = x W + b for a range of rows, converted already, by packed weights."""
        code, L, G, packing = self.code, self.code.lanes, len(self.step.inputs), self.packing
        assert packing is not None
        count, line = packing.blocks(args["D"]), share.groups * (G * L)
        with (
            in_blocks(code, (code.int(0), share.groups * G), SIDE_BY_SIDE) as (c0, c1),
            in_blocks(code, rows, ROWS) as (r0, r1),
        ):
            bias = code.select(args.pointer("b_ih").is_null, null(code), args.pointer("packed_b") + c0 * L)
            panels = args.pointer("packed_w") + c0 * count * packing.PANEL
            packing.of_rows(
                code, terms + row * (r0 - rows[0]), row, r1 - r0, panels, c1 - c0, count, bias,
                args.pointer("a") + (line * r0 + c0 * L), line,
            )  # fmt: skip

    def multiply_unpacked(self, args: Arguments, left: Ptr, row: Int, rows: tuple[Int, Int]) -> None:
        """a = x W + b for some rows, by the weights where they lie; `left` are the rows of x as pairs."""
        code, packing, L, G = self.code, self.packing, self.code.lanes, len(self.step.inputs)
        assert packing is not None
        D, H, weights, bias = args["D"], args["H"], args.pointer("w_ih"), args.pointer("b_ih")
        line = (H + (L - 1)) // L * (G * L)
        out = args.pointer("a") + line * rows[0]
        for i in range(G):
            code.call(
                tile.symbol(code, f"{packing.PREFIX}{weights.tag}unpacked_product"), left, row, rows[1] - rows[0],
                weights + H * D * i, D, H, D, code.select(bias.is_null, null(code), bias + H * i),
                out + i * L, line, code.int(G * L),
            )  # fmt: skip

    def spacing(self, args: Arguments) -> tuple[Value, Int]:
        """Whether the rows (step, sequence) of x are evenly spaced in memory; the stride of all rows if they are, else
        that of the rows of one step."""
        alone = args["B"].equals(1)
        even = self.code.b.or_(alone, args["x_t"].equals(args["B"] * args["x_b"]))
        return even, self.code.select(alone, args["x_t"], args["x_b"])

    @contextmanager
    def even_rows(self, args: Arguments, first: Int, last: Int) -> Iterator[tuple[Int, Int, Ptr, Int]]:
        """Walk over the rows (step, sequence) of x in ranges that are evenly spaced in memory: (rows from, to, address
        of the first, stride). All rows are one range if x is contiguous or B = 1."""
        code, B = self.code, args["B"]
        even, stride = self.spacing(args)
        length = code.select(even, last.most(1), B)
        with code.loop(first // length, (last + (length - 1)) // length) as i:
            r0, r1 = (i * length).most(first), ((i + 1) * length).least(last)
            step = code.select(even, code.int(0), i)
            yield r0, r1, args.pointer("x") + (args["x_t"] * step + stride * (r0 - step * B)), stride
