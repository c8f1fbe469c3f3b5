"""The left sides of the recurrent products of the forward kernel, as pairs of bfloat16 numbers.

The thread that writes a state or another operand rounds it at once. Even and odd steps have separate memory, because a
state is written for the next step while other threads read that of this step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate.engines.cpu import tile
from tidegate.engines.cpu.kernel import Arguments, Share, null
from tidegate.engines.cpu.vector import Int, Ptr
from tidegate.engines.plan import Phase, operand_state

if TYPE_CHECKING:
    from tidegate.engines.cpu.forward import Writer


def of_stage(writer: Writer, args: Arguments, k: int, t: Int, r: Int) -> tuple[Ptr, Int]:
    """The left side of stage k at step t, from row r on, and its row stride."""
    assert writer.u_packing is not None
    row = writer.u_packing.blocks(args["H"]) * writer.u_packing.ROW
    return args.pointer("left_pairs") + (args["B"] * (k * 2 + t % 2) + r) * row, row


def product(
    writer: Writer, args: Arguments, k: int, t: Int, before: Int, block: tuple[Int, Int, Int, Int], sums: Ptr
) -> None:
    """The product of stage k on a block of rows and groups, in `sums`; `before` counts the vectors of columns that the
    earlier stages have in packed_u."""
    code, packing, L = writer.code, writer.u_packing, writer.code.lanes
    assert packing is not None
    (r0, r1, g0, g1), gates, H = block, writer.step.stages[k].gates, args["H"]
    (left, row), count = of_stage(writer, args, k, t, r0), packing.blocks(H)
    weights, bias = args.pointer("w_hh"), args.pointer("b_hh")
    at, width = before + g0 * len(gates), (g1 - g0) * len(gates)
    with code.either(args["unpacked"].equals(0)) as (packed, unpacked):
        with packed:
            added = code.select(bias.is_null, null(code), args.pointer("packed_c") + at * L)
            panels = args.pointer("packed_u") + at * (count * packing.PANEL)
            packing.of_rows(code, left, row, r1 - r0, panels, width, count, added, sums, width * L)
        with unpacked:
            for i, gate in enumerate(gates):
                first = H * writer.step.products.index(gate) + g0 * L
                code.call(
                    tile.symbol(code, f"{packing.PREFIX}{weights.tag}unpacked_product"), left, row, r1 - r0,
                    weights + first * H, H, (g1 * L).least(H) - g0 * L, H,
                    code.select(bias.is_null, null(code), bias + first), sums + i * L, width * L,
                    code.int(len(gates) * L),
                )  # fmt: skip


def pack(writer: Writer, args: Arguments, source: Ptr, units: Int, at: Int, gates: int) -> None:
    """Pack the weights of some units of a gate, from vector number `at` of packed_u on; `gates` are packed side by
    side."""
    code, packing, H = writer.code, writer.u_packing, args["H"]
    assert packing is not None
    panel = packing.blocks(H) * packing.PANEL
    to = args.pointer("packed_u") + at * panel
    code.call(tile.symbol(code, f"{packing.PREFIX}{source.tag}pack_right"), source, H, units, H, to, panel * gates)


def after_phase(writer: Writer, args: Arguments, phase: Phase, t: Int, block: tuple[Int, ...]) -> None:
    """Round the operands that a phase of step t has written, and the states that are operands of the next step."""
    if writer.u_packing is None:
        return
    H, (r0, *_) = args["H"], block
    for place, _ in phase.store:
        for k in range(len(writer.step.stages)):
            s = operand_state(writer.step, k)
            if place.buffer == "operand" and place.block == k:
                _round(writer, args, writer.left(args, k, t) + r0 * H, k, t, block)
            elif place.buffer == "new" and s is not None and place.block == s:
                name = writer.step.state[s]
                at = args[f"seq_t.{name}"] * (t + 1 - args["reverse"]) + r0 * H
                _round(writer, args, args.pointer(f"seq.{name}") + at, k, t + 1, block)


def first(writer: Writer, args: Arguments, share: Share) -> None:
    """Round this thread's share of the initial states."""
    if writer.u_packing is None:
        return
    t = (args["T"] - 1) * args["reverse"]
    for k in range(len(writer.step.stages)):
        if operand_state(writer.step, k) is not None:
            source = writer.left(args, k, t) + share.rows[0] * args["H"]
            _round(writer, args, source, k, t, (*share.rows, *share.units))


def _round(writer: Writer, args: Arguments, source: Ptr, k: int, t: Int, block: tuple[Int, ...]) -> None:
    assert writer.u_packing is not None
    (r0, r1, g0, g1), H = block, args["H"]
    target, row = of_stage(writer, args, k, t, r0)
    writer.u_packing.split(writer.code, source, H, r1 - r0, H, target, row, (g0, g1))
