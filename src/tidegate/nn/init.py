"""Initialisations of recurrent layers, by their names in the literature.

Each function changes parameters of a layer or of a cell module in place and returns it. Other parameters are unchanged.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import torch
from torch import nn

from tidegate.errors import ArgumentError
from tidegate.nn.cells import CellModule
from tidegate.nn.equations import step_of
from tidegate.nn.layer import CellLayer

Layer = TypeVar("Layer", bound=CellLayer | CellModule)


def default_(layer: Layer) -> Layer:
    """The default of torch.nn: every parameter uniform in (-1/sqrt(H), 1/sqrt(H)). Gates are then near 1/2, and a state
    decays in a few steps."""
    layer.reset_parameters()  # type: ignore[operator]
    return layer


@torch.no_grad()
def orthogonal_(layer: Layer, gain: float = 1.0) -> Layer:
    """Every gate's recurrent matrix orthogonal, times `gain`. An orthogonal matrix keeps the norm of a vector, so
    gradients neither vanish nor explode through it at the start.

    Source: Saxe, McClelland and Ganguli, arXiv:1312.6120 (2014).
    """
    for gate in layer.cell.gates:
        for name, matrix in layer.gate_parameters(gate).items():
            if name.startswith("weight_hh"):
                nn.init.orthogonal_(matrix, gain)
    return layer


@torch.no_grad()
def gate_bias_(layer: Layer, gate: str, value: float | torch.Tensor) -> Layer:
    """A gate's bias: the sum of its input bias and its recurrent bias becomes `value`, the recurrent bias zero."""
    if not layer.bias:
        raise ArgumentError(f"`layer` must have biases to set that of gate {gate}, got bias=False.")
    for name, rows in layer.gate_parameters(gate).items():
        if name.startswith("bias_ih"):
            rows.copy_(torch.as_tensor(value).expand_as(rows))
        elif name.startswith("bias_hh"):
            rows.zero_()
    return layer


def forget_bias_(layer: Layer, value: float = 1.0) -> Layer:
    """The forget gate's bias, as the sum of the two that torch.nn.LSTM adds. At 1 the gate starts near sigmoid(1): 73 %
    of the cell state remains after a step.

    Source: Gers, Schmidhuber and Cummins, Neural Computation 12 (2000); Jozefowicz, Zaremba and Sutskever, ICML (2015).
    """
    if "f" not in layer.cell.gates:
        remedy = ' Use gate_bias_(layer, "z", value) for its update gate.' if "z" in layer.cell.gates else ""
        raise ArgumentError(f"{step_of(layer).name} has no forget gate f, its gates are {layer.cell.gates}.{remedy}")
    return gate_bias_(layer, "f", value)


@torch.no_grad()
def chrono_(layer: Layer, longest: float, shortest: float = 2.0) -> Layer:
    """Biases for time scales of `shortest` to `longest` steps: T uniform in that range for each unit, and log(T - 1) as
    the bias of the gate that multiplies the old state (f of an LSTM, z of a GRU), so that 1/T of the state is lost in
    each step. The input gate of an LSTM gets the opposite bias.

    Source: Tallec and Ollivier, arXiv:1804.11188 (2018).
    """
    if not 1 < shortest <= longest:
        raise ArgumentError(
            "`shortest` and `longest` must be numbers of steps with 1 < shortest <= longest, "
            f"got {shortest!r} and {longest!r}."
        )
    keeps = next((gate for gate in ("f", "z") if gate in layer.cell.gates), None)
    if keeps is None:
        raise ArgumentError(
            f"{step_of(layer).name} has no gate f or z that multiplies the old state, only {layer.cell.gates}."
        )
    names = [name for name in layer.gate_parameters(keeps) if name.startswith("bias_ih")]
    if not names:
        raise ArgumentError("`layer` must have biases for chrono initialisation, got bias=False.")
    for name in names:
        rows = layer.gate_parameters(keeps)[name]
        bias = torch.log(torch.empty_like(rows).uniform_(shortest, longest) - 1)
        for gate, value in ((keeps, bias), ("i", -bias)):
            if gate in layer.cell.gates:
                found = layer.gate_parameters(gate)
                found[name].copy_(value)
                found[name.replace("bias_ih", "bias_hh")].zero_()
    return layer


@torch.no_grad()
def identity_(layer: Layer, scale: float = 1.0) -> Layer:
    """The recurrent matrix `scale` times the identity, and biases zero: an RNN with relu then sums its inputs.

    Source: Le, Jaitly and Hinton, arXiv:1504.00941 (2015).
    """
    if len(layer.cell.gates) != 1:
        raise ArgumentError(
            f"`layer` must have one gate for identity initialisation, got {step_of(layer).name} with "
            f"{layer.cell.gates}. Use orthogonal_ for gated cells."
        )
    for name, tensor in layer.gate_parameters(layer.cell.gates[0]).items():
        if name.startswith("weight_hh"):
            tensor.copy_(scale * torch.eye(len(tensor), dtype=tensor.dtype, device=tensor.device))
        elif name.startswith("bias"):
            tensor.zero_()
    return layer


NAMES: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "default": default_,
        "orthogonal": orthogonal_,
        "forget-bias": forget_bias_,
        "chrono": chrono_,
        "identity": identity_,
    }
)


def by_name(layer: Layer, name: str, *values: float) -> Layer:
    """The initialisation of that name in `NAMES`, with its arguments: by_name(layer, "chrono", 784)."""
    if name not in NAMES:
        raise ArgumentError(f"`name` of an initialisation must be one of {', '.join(NAMES)}, got {name!r}.")
    if any(not math.isfinite(value) for value in values):
        raise ArgumentError(f"`values` of {name} must be finite numbers, got {values}.")
    taken = inspect.signature(NAMES[name])
    try:
        taken.bind(layer, *values)
    except TypeError as error:
        raise ArgumentError(f"{name} takes {', '.join(list(taken.parameters)[1:]) or 'no number'}: {error}.") from None
    return NAMES[name](layer, *values)
