"""Keras 3 weight lists: keras.layers.SimpleRNN, GRU and LSTM, alone or in Bidirectional.

One Keras layer's `get_weights()` is [kernel (D, G*H), recurrent_kernel (H, G*H), bias], for row vectors x kernel. The
order of the gates in a kernel is: GRU z r h, LSTM i f c o. The bias is (G*H,), absent with use_bias=False; that of a
GRU with reset_after=True, the default, is (2, 3H): the input's row and the recurrent row. Bidirectional appends the
lists of the backward layer. Activations are Keras' defaults, tanh and sigmoid. Source: keras/src/layers/rnn of Keras 3.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from tidegate import cells
from tidegate.errors import ArgumentError, ShapeError
from tidegate.nn.convert.parameters import (
    Array,
    ByGate,
    GateParameters,
    as_array,
    as_tensor,
    blocks,
    cell_class,
    check_layer,
    layer_from,
    parameters_of,
    zeros_like,
)
from tidegate.nn.layer import CellLayer
from tidegate.nn.stack import directions

# Keras' gates, by the letters of the cell, in Keras' order.
ORDER = {
    cells.RNN: ("n",),
    cells.GRU: ("z", "r", "n"),
    cells.ResetBeforeGRU: ("z", "r", "n"),
    cells.LSTM: ("i", "f", "g", "o"),
}


def from_keras(cell: str, *weights: Sequence[Array], reset_after: bool = True) -> CellLayer:
    """A batch_first layer from `get_weights()` of one Keras layer, or of several stacked on each other.

    `cell` is "rnn" (SimpleRNN), "gru" or "lstm". A GRU with reset_after=False becomes a ResetBeforeGRU.
    """
    kinds = {"rnn": cells.RNN, "gru": cells.GRU if reset_after else cells.ResetBeforeGRU, "lstm": cells.LSTM}
    if cell not in kinds:
        raise ArgumentError(f"`cell` must be one of {', '.join(kinds)}, got {cell!r}.")
    counts = {len(arrays) for arrays in weights}
    if len(counts) != 1 or not counts <= {2, 3, 4, 6}:
        raise ArgumentError(
            "`weights` must be lists of one length for each layer: kernel, recurrent kernel and perhaps a bias, "
            f"twice that for Bidirectional, got lengths {[len(arrays) for arrays in weights]}."
        )
    (count,) = counts
    bidirectional = count in (4, 6)
    per_direction = count // 2 if bidirectional else count
    parameters = []
    for arrays in weights:
        parameters += [
            read(arrays[i : i + per_direction], ORDER[kinds[cell]], two_rows=kinds[cell] is cells.GRU)
            for i in range(0, count, per_direction)
        ]
    return layer_from(kinds[cell], parameters, bidirectional=bidirectional, batch_first=True)


def read(arrays: Sequence[Array], gates: tuple[str, ...], *, two_rows: bool) -> GateParameters:
    kernel, recurrent = (as_tensor(name, a, 2) for name, a in zip(("kernel", "recurrent_kernel"), arrays))
    W, U = blocks("kernel", kernel.T, gates), blocks("recurrent_kernel", recurrent.T, gates)
    if len(arrays) == 2:
        return GateParameters(W, U)
    bias = as_tensor("bias", arrays[2], 2 if two_rows else 1)
    if two_rows and bias.shape[0] != 2:
        raise ShapeError(f"`bias` of a GRU with reset_after=True must have shape (2, 3H), got {tuple(bias.shape)}.")
    b = blocks("bias", bias[0] if two_rows else bias, gates)
    c = blocks("bias", bias[1], gates) if two_rows else zeros_like(b)
    return GateParameters(W, U, b, c)


def to_keras(layer: CellLayer) -> list[list[Array]]:
    """For each layer, the list that `set_weights` of the same Keras layer takes.

    A GRU is Keras' with reset_after=True, a ResetBeforeGRU that with reset_after=False.
    """
    check_layer(layer, tuple(ORDER), "Keras")
    gates = ORDER[cell_class(layer)]

    def side_by_side(by_gate: ByGate) -> Tensor:
        return torch.cat([by_gate[g] for g in gates]).T

    lists: list[list[Array]] = []
    for i, p in enumerate(parameters_of(layer)):
        arrays = [side_by_side(p.W), side_by_side(p.U)]
        if layer.bias and layer.cell is cells.GRU:
            arrays.append(torch.stack([torch.cat([bias[g] for g in gates]) for bias in (p.b, p.c)]))
        elif layer.bias:
            arrays.append(torch.cat([p.bias(g) for g in gates]))
        found = list(map(as_array, arrays))
        if i % directions(layer) == 1:
            lists[-1] += found
        else:
            lists.append(found)
    return lists
