"""A gate's own share of the packed parameters, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from tidegate.calculus import Step
from tidegate.errors import ArgumentError

if TYPE_CHECKING:
    from tidegate.nn.layer import CellLayer


def packed_names(step: Step) -> dict[str, tuple[str, ...]]:
    """Which names stand one after the other, H rows each, in each kind of parameter."""
    return {
        "weight_ih": step.inputs,
        "weight_hh": step.products,
        "bias_ih": step.inputs,
        "bias_hh": step.products,
        "vector": step.vectors,
    }


def gate_slices(layer: CellLayer, gate: str) -> dict[str, Tensor]:
    """Views of the H rows of `gate` in every parameter that holds some, by parameter name."""
    step, H = layer.step, layer.hidden_size
    if gate not in step.gates:
        raise ArgumentError(f"`gate` of {type(layer).__name__} must be one of {', '.join(step.gates)}, got {gate!r}.")
    found: dict[str, Tensor] = {}
    for suffix in layer.suffixes:
        for kind, names in packed_names(step).items():
            whole = getattr(layer, f"{kind}_{suffix}", None)
            if whole is not None and gate in names:
                found[f"{kind}_{suffix}"] = whole.narrow(0, names.index(gate) * H, H)
    return found
