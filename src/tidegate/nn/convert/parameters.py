"""The parameters of one layer and direction, gate by gate: the intermediate form of all conversions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tidegate import cells
from tidegate.cells import Cell
from tidegate.errors import ArgumentError, ArgumentTypeError, ShapeError
from tidegate.nn.equations import step_of
from tidegate.nn.layer import CellLayer
from tidegate.nn.recurrent import PeepholeLSTM, ResetBeforeGRU
from tidegate.nn.stack import read_weights
from tidegate.nn.twins import GRU, LSTM, RNN

Array = NDArray[Any]
ByGate = dict[str, Tensor]


@dataclass(frozen=True)
class GateParameters:
    """W[g] (H, D), U[g] (H, H), b[g] and c[g] (H,), v[name] (H,): x W^T + b, p U^T + c. Empty b and c: no biases."""

    W: ByGate
    U: ByGate
    b: ByGate = field(default_factory=dict)
    c: ByGate = field(default_factory=dict)
    v: ByGate = field(default_factory=dict)

    def bias(self, gate: str) -> Tensor:
        """b + c, for formats of one bias."""
        return self.b[gate] + self.c[gate]


def parameters_of(layer: CellLayer) -> list[GateParameters]:
    """Those of every layer and direction, in the order of the states; detached."""
    if layer.proj_size:
        raise ArgumentError(f"`layer` must have no projection to be converted, got proj_size = {layer.proj_size}.")
    step = step_of(layer)

    def split(packed: Tensor | None, names: tuple[str, ...]) -> ByGate:
        return {} if packed is None else dict(zip(names, packed.detach().chunk(len(names))))

    found = []
    for w in read_weights(layer):
        found.append(
            GateParameters(
                W=split(w.w_ih, step.inputs),
                U=split(w.w_hh, step.products),
                b=split(w.b_ih, step.inputs),
                c=split(w.b_hh, step.products),
                v=split(w.vectors, step.vectors),
            )
        )
    return found


def layer_from(
    cell: type[Cell], parameters: Sequence[GateParameters], *, bidirectional: bool, batch_first: bool
) -> CellLayer:
    """A new layer of the cell with these parameters, one GateParameters for each layer and direction."""
    first = next(iter(parameters[0].W.values()))
    options: dict[str, Any] = {
        "num_layers": len(parameters) // (2 if bidirectional else 1),
        "bias": bool(parameters[0].b),
        "batch_first": batch_first,
        "bidirectional": bidirectional,
        "dtype": first.dtype,
        "device": first.device,
    }
    H, D = first.shape
    layer = layer_of(cell, D, H, options)
    step = step_of(layer)
    with torch.no_grad():
        for w, p in zip(read_weights(layer), parameters):
            fill(w.w_ih, p.W, step.inputs, "W")
            fill(w.w_hh, p.U, step.products, "U")
            fill(w.b_ih, p.b, step.inputs, "b")
            fill(w.b_hh, p.c, step.products, "c")
            fill(w.vectors, p.v, step.vectors, "v")
    return layer


def layer_of(cell: type[Cell], D: int, H: int, options: Mapping[str, Any]) -> CellLayer:
    if cell is cells.ReluRNN:
        return RNN(D, H, nonlinearity="relu", **options)
    kinds = {cells.RNN: RNN, cells.GRU: GRU, cells.LSTM: LSTM}
    kinds |= {cells.ResetBeforeGRU: ResetBeforeGRU, cells.PeepholeLSTM: PeepholeLSTM}
    return kinds[cell](D, H, **options)


def fill(packed: Tensor | None, by_gate: ByGate, names: tuple[str, ...], letter: str) -> None:
    if packed is None:
        return
    for name, rows in zip(names, packed.chunk(len(names))):
        if by_gate[name].shape != rows.shape:
            raise ShapeError(
                f"`{letter}_{name}` must have shape {tuple(rows.shape)} in rows of units, "
                f"got {tuple(by_gate[name].shape)}. All gates and layers must agree on H and D."
            )
        rows.copy_(by_gate[name])


def as_tensor(name: str, array: Any, dims: int) -> Tensor:
    """A copy of an array of another library, of `dims` dimensions."""
    try:
        tensor = array.detach().clone() if isinstance(array, Tensor) else torch.from_numpy(np.array(array))
    except TypeError as error:
        raise ArgumentTypeError(f"`{name}` must be an array of numbers, got {type(array).__name__}.") from error
    if tensor.dim() != dims or not tensor.is_floating_point():
        raise ShapeError(
            f"`{name}` must be an array of floats with {dims} dimensions, got {tensor.dtype} of {tuple(tensor.shape)}."
        )
    return tensor


def blocks(name: str, packed: Tensor, gates: Sequence[str]) -> ByGate:
    """The rows of `packed`, one block for each gate in that order."""
    if packed.shape[0] % len(gates):
        raise ShapeError(
            f"`{name}` must hold {len(gates)} blocks of H, one for each of {', '.join(gates)}, got {packed.shape[0]}."
        )
    return dict(zip(gates, packed.chunk(len(gates))))


def zeros_like(by_gate: ByGate) -> ByGate:
    return {gate: torch.zeros_like(block) for gate, block in by_gate.items()}


def as_array(tensor: Tensor) -> Array:
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy().copy()


def check_layer(layer: CellLayer, allowed: tuple[type[Cell], ...], format: str) -> None:
    """ArgumentError if the format cannot express the layer's cell."""
    if not isinstance(layer, CellLayer):
        raise ArgumentTypeError(
            f"`layer` must be a layer of Tidegate, got {type(layer).__name__}. "
            "Use tidegate.convert.from_torch(layer) for one of torch.nn."
        )
    if layer.cell not in allowed:
        names = ", ".join(cell.__name__ for cell in allowed)
        raise ArgumentError(f"{format} has no {step_of(layer).name}: `layer` must be one of {names}.")


def cell_class(layer: CellLayer) -> type[Cell]:
    """The cell of a layer that `check_layer` accepted."""
    return cast("type[Cell]", layer.cell)
