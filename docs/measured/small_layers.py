"""Small layers with chosen gates and matrices, and the Jacobian of their states over many steps.

float64, one sequence of N(0, 1) inputs, D = 8, H = 32; weights from U(-1/sqrt(H), 1/sqrt(H)) as in torch.nn, unless a
change replaces them. Autograd computes the Jacobians of the last state with respect to the first.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

import tidegate
from tidegate.cells import Cell
from tidegate.comparing.one_thread import ONE_THREAD
from tidegate.engines import Call
from tidegate.nn.stack import read_weights
from tidegate.verification.direct import unroll

D, H, SEEDS = 8, 32, range(5)
Change = Callable[[tidegate.Recurrent], None]


def layer_of(cell: type[Cell], seed: int, change: Change = lambda layer: None) -> tidegate.Recurrent:
    torch.manual_seed(seed)
    layer = tidegate.Recurrent(cell, D, H, dtype=torch.float64)
    with torch.no_grad():
        change(layer)
    return layer


def blocks(layer: tidegate.Recurrent, name: str) -> Mapping[str, Tensor]:
    """The block of each gate in weight_hh, bias_ih and so on; changing it changes the layer."""
    return dict(zip(layer.cell.gates, getattr(layer, f"{name}_l0").split(H)))


def biased(**biases: float) -> Change:
    """Adds to the biases of gates: a large one holds a gate open or closed."""

    def change(layer: tidegate.Recurrent) -> None:
        for gate, bias in biases.items():
            blocks(layer, "bias_ih")[gate].add_(bias)

    return change


def recurrent(make: Callable[[], Tensor]) -> Change:
    """Replaces every gate's recurrent matrix."""

    def change(layer: tidegate.Recurrent) -> None:
        for block in blocks(layer, "weight_hh").values():
            block.copy_(make())

    return change


def both(*changes: Change) -> Change:
    def change(layer: tidegate.Recurrent) -> None:
        for each in changes:
            each(layer)

    return change


def run(layer: tidegate.Recurrent, x: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    call = Call(layer.step, x[:, None], tuple(s[None] for s in states), read_weights(layer)[0])
    return tuple(s[0] for s in unroll(call, layer.step).states)


def zeros(layer: tidegate.Recurrent) -> tuple[Tensor, ...]:
    return tuple(torch.zeros(H, dtype=torch.float64) for _ in layer.cell.state)


def far(cell: type[Cell], K: int, seed: int, change: Change = lambda layer: None) -> tuple[Tensor, Tensor]:
    """Singular values of the joint Jacobian of the states over K steps, and the last output."""
    layer = layer_of(cell, seed, change)
    x = torch.randn(K, D, dtype=torch.float64)

    def last(*states: Tensor) -> Tensor:
        return torch.cat(run(layer, x, states))

    start = zeros(layer)
    with ONE_THREAD:  # so small that more threads would only wait for each other
        rows = torch.autograd.functional.jacobian(last, start, vectorize=True)
        return torch.linalg.svdvals(torch.cat(rows, 1)), last(*start)[:H].detach()
