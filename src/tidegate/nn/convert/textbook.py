"""The separate parameters of textbooks: W_xz, W_hz, b_z and so on, for row vectors x W_xz + h W_hz + b_z.

RNN: W_xh, W_hh, b_h. GRU: gates r and z and the candidate h, whose reset comes before the product. LSTM: gates i, f
and o and the candidate c. Peepholes, where there are any: w_ci, w_cf, w_co. Source: Zhang, Lipton, Li and Smola, Dive
into Deep Learning (2023), chapters 9 and 10. Goodfellow, Bengio and Courville, Deep Learning (2016), chapter 10, write
the transposed matrices, U for the input and W for the state.
"""

from collections.abc import Mapping

from tidegate import cells
from tidegate.cells import Cell
from tidegate.errors import ArgumentError
from tidegate.nn.convert.gru import to_reset_before
from tidegate.nn.convert.parameters import (
    Array,
    GateParameters,
    as_array,
    as_tensor,
    cell_class,
    check_layer,
    layer_from,
    parameters_of,
    zeros_like,
)
from tidegate.nn.layer import CellLayer

# The textbook's letter of each gate.
LETTERS = {
    cells.RNN: {"n": "h"},
    cells.ResetBeforeGRU: {"r": "r", "z": "z", "n": "h"},
    cells.LSTM: {"i": "i", "f": "f", "g": "c", "o": "o"},
    cells.PeepholeLSTM: {"i": "i", "f": "f", "g": "c", "o": "o"},
}


def from_textbook(*layers: Mapping[str, Array]) -> CellLayer:
    """A layer (T, B, D) from the named arrays of one layer, or of several stacked on each other.

    The names say which cell it is; a GRU is a ResetBeforeGRU.
    """
    cell = cell_of(layers[0])
    return layer_from(cell, [read(cell, named) for named in layers], bidirectional=False, batch_first=False)


def cell_of(named: Mapping[str, Array]) -> type[Cell]:
    for cell in reversed(LETTERS):
        if set(names(cell)) == set(named):
            return cell
    raise ArgumentError(
        f"the names of a layer must be {'; or '.join(', '.join(names(cell)) for cell in LETTERS)}; "
        f"got {', '.join(named)}."
    )


def names(cell: type[Cell]) -> list[str]:
    found = [f"{kind}{letter}" for letter in LETTERS[cell].values() for kind in ("W_x", "W_h", "b_")]
    return found + [f"w_c{name}" for name in cell.vectors]


def read(cell: type[Cell], named: Mapping[str, Array]) -> GateParameters:
    letters = LETTERS[cell]
    if set(named) != set(names(cell)):
        raise ArgumentError(f"the names of a {cell.__name__} must be {', '.join(names(cell))}; got {', '.join(named)}.")
    b = {g: as_tensor(f"b_{k}", named[f"b_{k}"], 1) for g, k in letters.items()}
    return GateParameters(
        W={g: as_tensor(f"W_x{k}", named[f"W_x{k}"], 2).T for g, k in letters.items()},
        U={g: as_tensor(f"W_h{k}", named[f"W_h{k}"], 2).T for g, k in letters.items()},
        b=b,
        c=zeros_like(b),
        v={name: as_tensor(f"w_c{name}", named[f"w_c{name}"], 1) for name in cell.vectors},
    )


def to_textbook(layer: CellLayer) -> list[dict[str, Array]]:
    """The named arrays of each layer. A GRU is first converted by `to_reset_before`, which may refuse it."""
    layer = to_reset_before(layer) if isinstance(layer, CellLayer) and layer.cell is cells.GRU else layer
    check_layer(layer, tuple(LETTERS), "the textbook")
    if layer.bidirectional:
        raise ArgumentError("`layer` must run in one direction for the textbook's names, got bidirectional=True.")
    found, letters = [], LETTERS[cell_class(layer)]
    for p in parameters_of(layer):
        named: dict[str, Array] = {}
        for g, k in letters.items():
            named[f"W_x{k}"], named[f"W_h{k}"] = as_array(p.W[g].T), as_array(p.U[g].T)
            named[f"b_{k}"] = as_array(p.bias(g) if layer.bias else p.W[g].new_zeros(layer.hidden_size))
        found.append(named | {f"w_c{name}": as_array(p.v[name]) for name in layer.cell.vectors})
    return found
