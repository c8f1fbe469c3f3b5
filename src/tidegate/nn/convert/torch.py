"""One layer or cell of torch.nn converted to its twin, and back; the parameters are shared, not copied."""

from torch import nn

from tidegate import cells
from tidegate.cells import Cell
from tidegate.errors import ArgumentError, ArgumentTypeError
from tidegate.nn.cells import CellModule, GRUCell, LSTMCell, RNNCell
from tidegate.nn.equations import step_of
from tidegate.nn.layer import CellLayer
from tidegate.nn.twins import GRU, LSTM, RNN

LAYERS: dict[type[nn.Module], type[CellLayer]] = {nn.RNN: RNN, nn.GRU: GRU, nn.LSTM: LSTM}
CELLS: dict[type[nn.Module], type[CellModule]] = {nn.RNNCell: RNNCell, nn.GRUCell: GRUCell, nn.LSTMCell: LSTMCell}
# The layer and the cell of torch.nn for each cell, read now: a program may replace torch.nn.GRU by a twin later.
PLAIN: dict[type[Cell], tuple[type[nn.Module], type[nn.Module]]] = {
    cells.RNN: (nn.RNN, nn.RNNCell),
    cells.ReluRNN: (nn.RNN, nn.RNNCell),
    cells.GRU: (nn.GRU, nn.GRUCell),
    cells.LSTM: (nn.LSTM, nn.LSTMCell),
}


def from_torch(module: nn.Module, *, engine: str = "auto", recompute: bool = False) -> CellLayer | CellModule:
    """The twin of a torch.nn layer or cell, which shares its parameters, so that an optimiser keeps training them.

    `recompute`: see CellLayer. A cell is one step and has nothing to recompute: ArgumentError.
    """
    if type(module) not in LAYERS | CELLS:
        raise ArgumentTypeError(
            f"`module` must be one of {', '.join(f'torch.nn.{kind.__name__}' for kind in LAYERS | CELLS)}, "
            f"got {type(module).__name__}. For a subclass, a parametrized layer or the layers inside a model use "
            "replace_layers(model)."
        )
    options = {name: getattr(module, name) for name in arguments(module)}
    if type(module) in LAYERS:
        options["recompute"] = recompute
    elif recompute:
        raise ArgumentError(
            f"`recompute` is for layers, got a {type(module).__name__}, which is one step. Leave it out."
        )
    twin = (LAYERS | CELLS)[type(module)](**options, device="meta", engine=engine)
    return share(module, twin)  # type: ignore[return-value]


def to_torch(layer: CellLayer | CellModule) -> nn.Module:
    """The torch.nn module that computes the same as a layer or cell, and shares its parameters.

    ArgumentError for a cell that torch.nn does not have; `to_reset_after` makes a GRU of some ResetBeforeGRUs.
    """
    if layer.cell not in PLAIN:
        remedy = " Use to_reset_after(layer) first." if layer.cell is cells.ResetBeforeGRU else ""
        raise ArgumentError(
            f"torch.nn has no {step_of(layer).name}: `layer` must be of {', '.join(kind.__name__ for kind in PLAIN)}."
            f"{remedy}"
        )
    kind = PLAIN[layer.cell][isinstance(layer, CellModule)]
    names = ["input_size", "hidden_size", "bias"]
    if isinstance(layer, CellLayer):
        names += ["num_layers", "batch_first", "dropout", "bidirectional"] + ["proj_size"] * bool(layer.proj_size)
    options = {name: getattr(layer, name) for name in names}
    if kind in PLAIN[cells.RNN]:
        options["nonlinearity"] = "relu" if layer.cell is cells.ReluRNN else "tanh"
    return share(layer, kind(**options, device="meta"))


def arguments(module: nn.Module) -> list[str]:
    """The names of the constructor's arguments that the module has as attributes."""
    names = ["input_size", "hidden_size", "bias"]
    if type(module) in LAYERS:
        names += ["num_layers", "batch_first", "dropout", "bidirectional"]
    names += ["proj_size"] if type(module) is PLAIN[cells.LSTM][0] else []
    return names + (["nonlinearity"] if type(module) in PLAIN[cells.RNN] else [])


def share(source: nn.Module, target: nn.Module) -> nn.Module:
    """`target` with the parameters and the mode of `source`."""
    for name, parameter in list(source.named_parameters()):
        setattr(target, name, parameter)
    return target.train(source.training)
