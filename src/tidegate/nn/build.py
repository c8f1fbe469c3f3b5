"""Layers by the names that the command line uses."""

from typing import Any

from tidegate.cells.find import find_cell
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
