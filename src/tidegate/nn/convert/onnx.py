"""ONNX RNN, GRU and LSTM nodes, as arrays: no dependency on the onnx package.

W (directions, G*H, D), R (directions, G*H, H), B (directions, 2*G*H): the input's biases, then the recurrent ones;
P (directions, 3H): peepholes i o f. Gates: GRU z r h, LSTM i o f c. A GRU with linear_before_reset=0, the default, is
a ResetBeforeGRU, with any other value a GRU. Source: ONNX operator specification, opset 7 to 22.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tidegate import cells
from tidegate.cells import Cell
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

# ONNX' gates, by the letters of the cell, in ONNX' order.
ORDER = {
    cells.RNN: ("n",),
    cells.ReluRNN: ("n",),
    cells.GRU: ("z", "r", "n"),
    cells.ResetBeforeGRU: ("z", "r", "n"),
    cells.LSTM: ("i", "o", "f", "g"),
    cells.PeepholeLSTM: ("i", "o", "f", "g"),
}
PEEPHOLES = ("i", "o", "f")
ACTIVATIONS = {"RNN": ("Tanh",), "GRU": ("Sigmoid", "Tanh"), "LSTM": ("Sigmoid", "Tanh", "Tanh")}


@dataclass(frozen=True)
class OnnxNode:
    """The tensors and attributes of one node, which is one layer; `activations` are those of one direction."""

    op_type: str
    W: Array
    R: Array
    B: Array | None = None
    P: Array | None = None
    direction: str = "forward"
    linear_before_reset: int = 0
    activations: tuple[str, ...] = ()


def from_onnx(*nodes: OnnxNode) -> CellLayer:
    """A layer (T, B, D) from one node, or from several stacked on each other."""
    cell = cell_of(nodes[0])
    if any(cell_of(node) is not cell or node.direction != nodes[0].direction for node in nodes):
        raise ArgumentError("`nodes` of one layer must be of one kind and direction, got several. Convert each alone.")
    bidirectional = nodes[0].direction == "bidirectional"
    biased = any(node.B is not None for node in nodes)
    parameters = [read(node, cell, k, biased=biased) for node in nodes for k in range(2 if bidirectional else 1)]
    return layer_from(cell, parameters, bidirectional=bidirectional, batch_first=False)


def cell_of(node: OnnxNode) -> type[Cell]:
    """The cell that the node computes."""
    if node.op_type not in ACTIVATIONS:
        raise ArgumentError(f"`op_type` must be one of {', '.join(ACTIVATIONS)}, got {node.op_type!r}.")
    if node.direction not in ("forward", "bidirectional"):
        raise ArgumentError(
            f'`direction` must be "forward" or "bidirectional", got {node.direction!r}. For "reverse" flip the time of '
            "inputs and outputs around a forward layer."
        )
    used = tuple(a.capitalize() for a in node.activations) or ACTIVATIONS[node.op_type]
    if node.op_type == "RNN" and used == ("Relu",):
        return cells.ReluRNN
    if used != ACTIVATIONS[node.op_type]:
        raise ArgumentError(
            f"`activations` of {node.op_type} must be {ACTIVATIONS[node.op_type]}, got {used}. "
            "Write a cell of your own for others."
        )
    if node.op_type == "LSTM":
        return cells.LSTM if node.P is None else cells.PeepholeLSTM
    if node.op_type == "GRU":
        return cells.GRU if node.linear_before_reset else cells.ResetBeforeGRU
    return cells.RNN


def read(node: OnnxNode, cell: type[Cell], k: int, *, biased: bool) -> GateParameters:
    """Direction k of the node."""
    gates = ORDER[cell]
    directions = 2 if node.direction == "bidirectional" else 1
    tensors = {"W": as_tensor("W", node.W, 3), "R": as_tensor("R", node.R, 3)}
    tensors |= {name: as_tensor(name, t, 2) for name, t in (("B", node.B), ("P", node.P)) if t is not None}
    for name, tensor in tensors.items():
        if tensor.shape[0] != directions:
            raise ShapeError(
                f"`{name}` of a {node.direction} node must have {directions} directions, got {tuple(tensor.shape)}."
            )
    W, U = blocks("W", tensors["W"][k], gates), blocks("R", tensors["R"][k], gates)
    v = blocks("P", tensors["P"][k], PEEPHOLES) if "P" in tensors else {}
    if not biased:
        return GateParameters(W, U, v=v)
    if "B" not in tensors:
        zero: ByGate = {g: w.new_zeros(len(w)) for g, w in W.items()}
        return GateParameters(W, U, zero, zeros_like(zero), v)
    b, c = tensors["B"][k].chunk(2)
    return GateParameters(W, U, blocks("B", b, gates), blocks("B", c, gates), v)


def to_onnx(layer: CellLayer) -> list[OnnxNode]:
    """One node for each layer."""
    check_layer(layer, tuple(ORDER), "ONNX")
    gates, parameters, n = ORDER[cell_class(layer)], parameters_of(layer), directions(layer)
    kinds = {cells.RNN: "RNN", cells.ReluRNN: "RNN", cells.LSTM: "LSTM", cells.PeepholeLSTM: "LSTM"}

    def stack(tensors: Sequence[Tensor]) -> Array:
        return as_array(torch.stack(list(tensors)))

    def packed(by_gate: ByGate, names: tuple[str, ...] = gates) -> Tensor:
        return torch.cat([by_gate[g] for g in names])

    nodes = []
    for k in range(0, len(parameters), n):
        here = parameters[k : k + n]
        nodes.append(
            OnnxNode(
                op_type=kinds.get(cell_class(layer), "GRU"),
                W=stack([packed(p.W) for p in here]),
                R=stack([packed(p.U) for p in here]),
                B=stack([torch.cat([packed(p.b), packed(p.c)]) for p in here]) if layer.bias else None,
                P=stack([packed(p.v, PEEPHOLES) for p in here]) if layer.cell is cells.PeepholeLSTM else None,
                direction="bidirectional" if layer.bidirectional else "forward",
                linear_before_reset=int(layer.cell is cells.GRU),
                activations=("Relu",) if layer.cell is cells.ReluRNN else (),
            )
        )
    return nodes
