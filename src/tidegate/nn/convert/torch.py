"""torch.nn's layers and cells: the twin of one, the torch.nn module of a layer, and all of a model at once."""

from typing import TypeVar

from torch import nn

from tidegate import cells
from tidegate.cells import Cell
from tidegate.errors import ArgumentError
from tidegate.nn.cells import CellModule, GRUCell, LSTMCell, RNNCell
from tidegate.nn.layer import CellLayer
from tidegate.nn.twins import GRU, LSTM, RNN

LAYERS: dict[type[nn.Module], type[CellLayer]] = {nn.RNN: RNN, nn.GRU: GRU, nn.LSTM: LSTM}
CELLS: dict[type[nn.Module], type[CellModule]] = {nn.RNNCell: RNNCell, nn.GRUCell: GRUCell, nn.LSTMCell: LSTMCell}
# torch.nn's layer and cell of ours, taken now: a program may put a twin in the place of torch.nn.GRU.
PLAIN: dict[type[Cell], tuple[type[nn.Module], type[nn.Module]]] = {
    cells.RNN: (nn.RNN, nn.RNNCell),
    cells.ReluRNN: (nn.RNN, nn.RNNCell),
    cells.GRU: (nn.GRU, nn.GRUCell),
    cells.LSTM: (nn.LSTM, nn.LSTMCell),
}
Model = TypeVar("Model", bound=nn.Module)


def from_torch(module: nn.Module, *, engine: str = "auto", recompute: bool = False) -> CellLayer | CellModule:
    """The twin of a torch.nn layer or cell, with the same parameters, not copies: an optimiser goes on with them.

    `recompute`: see CellLayer; a cell is one step and has nothing to recompute, so ArgumentError.
    """
    if type(module) not in LAYERS | CELLS:
        raise ArgumentError(
            f"`module` must be one of {', '.join(f'torch.nn.{kind.__name__}' for kind in LAYERS | CELLS)}, "
            f"got {type(module).__name__}. For the layers inside a model use replace_layers(model); remove "
            "parametrizations first."
        )
    options = {name: getattr(module, name) for name in arguments(module)}
    if type(module) in LAYERS:
        options["recompute"] = recompute
    elif recompute:
        raise ArgumentError(
            f"`recompute` is for layers, got a {type(module).__name__}, which is one step and keeps no others."
        )
    twin = (LAYERS | CELLS)[type(module)](**options, device="meta", engine=engine)
    return share(module, twin)  # type: ignore[return-value]


def to_torch(layer: CellLayer | CellModule) -> nn.Module:
    """The torch.nn module that equals a layer or cell, with the same parameters, not copies.

    ArgumentError for a cell that torch.nn does not have; `to_reset_after` makes a GRU of some ResetBeforeGRUs.
    """
    if layer.cell not in PLAIN:
        remedy = " Use to_reset_after(layer) first." if layer.cell is cells.ResetBeforeGRU else ""
        raise ArgumentError(
            f"torch.nn has no {layer.cell.__name__}: `layer` must be of {', '.join(kind.__name__ for kind in PLAIN)}."
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


def replace_layers(model: Model, *, engine: str = "auto", recompute: bool = False) -> Model:
    """`model`, with every torch.nn.RNN, GRU, LSTM and cell inside it replaced by its twin of the same parameters; its
    layers, not its cells, with `recompute` (see CellLayer)."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) in LAYERS | CELLS:
                setattr(parent, name, from_torch(child, engine=engine, recompute=recompute and type(child) in LAYERS))
    return model


def arguments(module: nn.Module) -> list[str]:
    """The constructor's arguments that the module keeps."""
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
