"""A gate's own share of the packed parameters, by name."""

from collections.abc import Iterable

from torch import Tensor, nn

from tidegate.calculus import Step
from tidegate.errors import ArgumentError


def packed_names(step: Step) -> dict[str, tuple[str, ...]]:
    """Which names stand one after the other, H rows each, in each kind of parameter."""
    return {
        "weight_ih": step.inputs,
        "weight_hh": step.products,
        "bias_ih": step.inputs,
        "bias_hh": step.products,
        "vector": step.vectors,
    }


def gate_slices(module: nn.Module, step: Step, endings: Iterable[str], gate: str) -> dict[str, Tensor]:
    """Views of the H rows of `gate` in every parameter that holds some, by parameter name.

    `endings` are those of the parameters' names: "_l0" and so on, or "" of a cell.
    """
    if gate not in step.gates:
        raise ArgumentError(f"`gate` of {type(module).__name__} must be one of {', '.join(step.gates)}, got {gate!r}.")
    found: dict[str, Tensor] = {}
    for ending in endings:
        for kind, names in packed_names(step).items():
            whole = getattr(module, kind + ending, None)
            if whole is not None and gate in names:
                H = len(whole) // len(names)
                found[kind + ending] = whole.narrow(0, names.index(gate) * H, H)
    return found
