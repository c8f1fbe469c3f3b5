"""What a GRU with one gate cannot do: remember without an update gate, discard everything without a reset gate."""

from statistics import median

import torch
from torch import Tensor

from measured.small_layers import SEEDS, Change, D, H, biased, both, far, layer_of, recurrent, run
from measured.tables import number, table
from tidegate import cells
from tidegate.cells import Cell

OPEN, CLOSED = 4.0, -30.0


def two_gates() -> list[str]:
    """Orthogonal recurrent matrices, the best case for a cell that remembers through them."""
    rows = []
    for cell in (cells.GRU, cells.UpdateOnlyGRU, cells.ResetOnlyGRU):
        gains = [float(far(cell, 50, seed, both(recurrent(orthogonal), gates_at(cell, OPEN)))[0][0]) for seed in SEEDS]
        left = [difference_left(cell, seed) for seed in SEEDS]
        gates = ", ".join(gate for gate in cell.gates if gate != "n")
        rows.append([cell.__name__, gates, number(median(gains)), number(median(left))])
    head = ("cell", "gates", "gates near 1: gain over 50 steps", "gates at 0: share of a difference left after 1 step")
    return table(head, rows)


def orthogonal() -> Tensor:
    return torch.linalg.qr(torch.randn(H, H, dtype=torch.float64))[0]


def gates_at(cell: type[Cell], bias: float) -> Change:
    return biased(**{gate: bias for gate in ("r", "z") if gate in cell.gates})


@torch.no_grad()
def difference_left(cell: type[Cell], seed: int) -> float:
    """|h' - k'| / |h - k| after a step with the same input from two random states h and k."""
    layer = layer_of(cell, seed, both(recurrent(orthogonal), gates_at(cell, CLOSED)))
    x, (h, k) = torch.randn(1, D, dtype=torch.float64), torch.randn(2, H, dtype=torch.float64)
    return float((run(layer, x, (h,))[0] - run(layer, x, (k,))[0]).norm() / (h - k).norm())
