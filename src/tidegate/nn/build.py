"""Layers by the names that the command line uses."""

import difflib
import importlib.util
import sys
from pathlib import Path
from typing import Any

from tidegate.cells import CELLS, Cell
from tidegate.errors import ArgumentError, EquationError
from tidegate.nn.layer import CellLayer
from tidegate.nn.recurrent import PeepholeLSTM, Recurrent, ResetBeforeGRU, ResidualRNN
from tidegate.nn.twins import GRU, LSTM, RNN


def build_layer(
    cell: str,
    input_size: int,
    hidden_size: int,
    *,
    num_layers: int = 1,
    engine: str = "auto",
    dropout: float = 0.0,
    recompute: bool = False,
) -> CellLayer:
    """The layer of a cell named as on the command line: a name of `tidegate.cells.CELLS`, or FILE.py:CLASS."""
    options: dict[str, Any] = {"dropout": dropout, "engine": engine, "recompute": recompute}
    match cell:
        case "rnn" | "rnn-relu":
            kind = "relu" if cell == "rnn-relu" else "tanh"
            return RNN(input_size, hidden_size, num_layers, kind, **options)
        case "residual" | "residual-sigmoid":
            kind = "sigmoid" if cell == "residual-sigmoid" else "tanh"
            return ResidualRNN(input_size, hidden_size, num_layers, kind, **options)
        case "gru":
            return GRU(input_size, hidden_size, num_layers, **options)
        case "reset-before-gru":
            return ResetBeforeGRU(input_size, hidden_size, num_layers, **options)
        case "lstm":
            return LSTM(input_size, hidden_size, num_layers, **options)
        case "peephole-lstm":
            return PeepholeLSTM(input_size, hidden_size, num_layers, **options)
    return Recurrent(find_cell(cell), input_size, hidden_size, num_layers, **options)


def find_cell(name: str) -> type[Cell]:
    """The cell class of a name on the command line; ArgumentError for a bad name, EquationError for a bad file."""
    if name in CELLS:
        return CELLS[name]
    path, colon, class_name = name.rpartition(":")
    if not colon or not path.endswith(".py"):
        raise ArgumentError(
            f"`cell` must be one of {', '.join(CELLS)}, or FILE.py:CLASS, got {name!r}.{suggestion(name)}"
        )
    if not Path(path).is_file():
        raise ArgumentError(f"`cell` {name!r}: there is no file {path}.")
    cell = getattr(load(Path(path)), class_name, None)
    if not (isinstance(cell, type) and issubclass(cell, Cell)):
        raise ArgumentError(f"`cell` {name!r}: {path} has no class {class_name} that derives from tidegate.Cell.")
    return cell


def suggestion(name: str) -> str:
    """The end of a message about a name that is not in CELLS: the nearest one, if one is near."""
    spelled = {**{cell.__name__.lower(): known for known, cell in CELLS.items()}, **{known: known for known in CELLS}}
    found = difflib.get_close_matches(name.lower().replace("_", "-"), spelled, n=1, cutoff=0.7)
    return f" Did you mean {spelled[found[0]]}?" if found else ""


def load(path: Path):
    """The module in the file `path`, imported once."""
    name = f"tidegate_user_cells.{path.resolve().as_posix().strip('/').replace('/', '.')}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ArgumentError(f"`cell`: {path} cannot be loaded as Python.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a user's file can raise anything
        del sys.modules[name]
        alone = " The file of a cell must not import other files beside it."
        raise EquationError(
            f"{path} cannot be imported: {type(error).__name__}: {error}.{alone * isinstance(error, ImportError)}"
        ) from error
    return module
