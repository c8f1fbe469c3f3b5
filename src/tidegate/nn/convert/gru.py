"""One GRU converted to the other, where they compute the same function of the input for every state.

The candidates differ: tanh(a + r * (U h + c)) resets after the product, tanh(a + U (r * h) + c) before it. They agree

* in a product U_ij h_j if the reset gates of units i and j are equal: if i = j, as in a diagonal U or with H = 1, or if
  their rows of W_r, U_r and biases are equal; or if both gates are constant because their rows of W_r and U_r are zero:
  then U_ij is multiplied by r_i / r_j;
* in the bias if c_i = 0, or if r_i is constant: then c_i is multiplied by it. In the other direction every bias can be
  added to that of a.

In all other cases the functions differ, and ArgumentError names the units.
"""

import torch
from torch import Tensor

from tidegate import cells
from tidegate.cells import Cell
from tidegate.errors import ArgumentError
from tidegate.nn.convert.parameters import GateParameters, check_layer, layer_from, parameters_of
from tidegate.nn.layer import CellLayer
from tidegate.nn.stack import suffixes


def to_reset_before(layer: CellLayer) -> CellLayer:
    """The ResetBeforeGRU that computes the same function as this GRU; ArgumentError says why there is none."""
    check_layer(layer, (cells.GRU,), "to_reset_before")
    parameters = []
    for suffix, p in zip(suffixes(layer), parameters_of(layer)):
        constant, r = constant_resets(p)
        parameters.append(with_candidate(p, p.U["n"] * ratio(p, constant, r, suffix)))
        if layer.bias:
            c = p.c["n"]
            left = (c != 0) & ~constant
            if left.any():
                raise ArgumentError(
                    f"this GRU has no ResetBeforeGRU that equals it: the candidate's recurrent bias of {units(left)} "
                    f"in {suffix} is not zero, and their reset gates, which multiply it, are not constant."
                )
            parameters[-1].c["n"] = torch.where(constant, c * r, c)
    return made(cells.ResetBeforeGRU, parameters, layer)


def to_reset_after(layer: CellLayer) -> CellLayer:
    """The GRU that computes the same function as this ResetBeforeGRU; ArgumentError says why there is none."""
    check_layer(layer, (cells.ResetBeforeGRU,), "to_reset_after")
    parameters = []
    for suffix, p in zip(suffixes(layer), parameters_of(layer)):
        constant, r = constant_resets(p)
        parameters.append(with_candidate(p, p.U["n"] / ratio(p, constant, r, suffix)))
        if layer.bias:
            parameters[-1].b["n"], parameters[-1].c["n"] = p.bias("n"), torch.zeros_like(p.c["n"])
    return made(cells.GRU, parameters, layer)


def made(cell: type[Cell], parameters: list[GateParameters], layer: CellLayer) -> CellLayer:
    """A layer of the cell with these parameters that runs as `layer` does."""
    found = layer_from(cell, parameters, bidirectional=layer.bidirectional, batch_first=layer.batch_first)
    found.engine, found.recompute = layer.engine, layer.recompute
    return found


def with_candidate(p: GateParameters, U: Tensor) -> GateParameters:
    return GateParameters(p.W, p.U | {"n": U}, dict(p.b), dict(p.c))


def constant_resets(p: GateParameters) -> tuple[Tensor, Tensor]:
    """Which units' reset gates depend on neither input nor state, and the value r (H,) that those have."""
    constant = ~(p.W["r"].any(1) | p.U["r"].any(1))
    bias = p.bias("r") if p.b else p.W["r"].new_zeros(len(p.W["r"]))
    return constant, bias.sigmoid()


def ratio(p: GateParameters, constant: Tensor, r: Tensor, suffix: str) -> Tensor:
    """r_i / r_j (H, H) where units i and j are coupled by U_n; ArgumentError if it is not constant for some."""
    rows = torch.cat([p.W["r"], p.U["r"], *([p.bias("r").unsqueeze(1)] if p.b else [])], 1)
    same = (rows.unsqueeze(0) == rows.unsqueeze(1)).all(-1)
    both = constant.unsqueeze(0) & constant.unsqueeze(1)
    apart = (p.U["n"] != 0) & ~same & ~both
    if apart.any():
        i, j = apart.nonzero()[0].tolist()
        raise ArgumentError(
            f"the two GRUs are different functions: U_n couples unit {i} to unit {j} in {suffix} "
            f"({int(apart.sum())} such pairs), and their reset gates are neither equal nor constant. "
            "Keep the class of the layer, or train it again in the other."
        )
    quotient = torch.where(both & ~same, r.unsqueeze(1) / r.unsqueeze(0), 1)
    return torch.where(p.U["n"] != 0, quotient, 1)


def units(which: Tensor) -> str:
    numbers = which.nonzero().flatten().tolist()
    return f"unit {numbers[0]}" if len(numbers) == 1 else f"units {numbers[0]} and {len(numbers) - 1} others"
