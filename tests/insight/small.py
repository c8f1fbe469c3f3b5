"""Small layers of every cell, the user's own included, in float64 with random biases."""

import torch

import tidegate
from tidegate import sigmoid, tanh
from tidegate.cells import CELLS
from tidegate.nn import build_layer


class MinimalGatedUnit(tidegate.Cell):
    gates = ("f", "n")
    state = ("h",)

    def equations(a, U, h):
        f = sigmoid(a.f + U.f(h))
        n = tanh(a.n + U.n(f * h))
        return ((1 - f) * h + f * n,), (f, n)


OWN = "own"
EVERY_CELL = (*CELLS, OWN)


def make_layer(name, D=3, H=5, layers=1, *, seed=0, scale=1.0, **options):
    torch.manual_seed(seed)
    if "proj_size" in options:
        layer = tidegate.LSTM(D, H, layers, dtype=torch.float64, **options)
    elif options or name == OWN:
        equations = MinimalGatedUnit if name == OWN else CELLS[name]
        layer = tidegate.Recurrent(equations, D, H, layers, dtype=torch.float64, **options)
    else:
        layer = build_layer(name, D, H, num_layers=layers).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(scale)
    return layer.requires_grad_(False)
