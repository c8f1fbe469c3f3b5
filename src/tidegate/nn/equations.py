"""The equations that a module runs: a Cell class or a Step, and the slices of its parameters that belong to a gate."""

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from tidegate.calculus import Step, trace
from tidegate.cells import CELLS, Cell
from tidegate.errors import ArgumentError, ArgumentTypeError

Equations = type[Cell] | Step


def step_of(module: Any) -> Step:
    """The traced equations of a layer, or of a cell as a module."""
    return as_step(module.cell)


def as_step(cell: Equations) -> Step:
    return cell if isinstance(cell, Step) else trace(cell)


def as_equations(cell: Any) -> Equations:
    """A Cell class or a Step; for the Step of a cell in CELLS its class. ArgumentTypeError for anything else."""
    if isinstance(cell, Step):
        return next((known for known in CELLS.values() if trace(known) is cell), cell)
    if isinstance(cell, type) and issubclass(cell, Cell):
        return cell
    raise ArgumentTypeError(
        f"`cell` must be a class that derives from tidegate.Cell, or a traced Step, got {cell!r:.60}. "
        'A layer by name is tidegate.nn.build_layer("gru", ...).'
    )


def packed_names(step: Step) -> dict[str, tuple[str, ...]]:
    """The names of the blocks of H rows in each kind of parameter, in their order."""
    return {
        "weight_ih": step.inputs,
        "weight_hh": step.products,
        "bias_ih": step.inputs,
        "bias_hh": step.products,
        "vector": step.vectors,
    }


def parameter_shapes(step: Step, D: int, H: int, *, bias: bool) -> dict[str, tuple[int, ...]]:
    """The shape of every parameter of one layer and direction, by the first part of its name."""
    rows = {kind: len(names) * H for kind, names in packed_names(step).items()}
    shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows["weight_ih"], D), "weight_hh": (rows["weight_hh"], H)}
    shapes |= {name: (rows[name],) for name in ("bias_ih", "bias_hh") if bias}
    return shapes | ({"vector": (rows["vector"],)} if step.vectors else {})


def gate_slices(module: nn.Module, step: Step, endings: Iterable[str], gate: str) -> dict[str, Tensor]:
    """Views of the H rows of `gate` in every parameter that has some, by parameter name.

    `endings` are those of the parameters' names: "_l0" and so on, or "" for a cell.
    """
    if gate not in step.gates:
        raise ArgumentError(f"`gate` of {type(module).__name__} must be one of {', '.join(step.gates)}, got {gate!r}.")
    found: dict[str, Tensor] = {}
    for ending in endings:
        for kind, names in packed_names(step).items():
            packed = getattr(module, kind + ending, None)
            if packed is not None and gate in names:
                H = len(packed) // len(names)
                found[kind + ending] = packed.narrow(0, names.index(gate) * H, H)
    return found
