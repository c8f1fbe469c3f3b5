"""The equations: one file per family of cells. `CELLS` maps names on the command line to them."""

from types import MappingProxyType

from tidegate.cells.ablated import ResetOnlyGRU, UpdateOnlyGRU
from tidegate.cells.cell import Cell
from tidegate.cells.elman import RNN, ReluRNN
from tidegate.cells.gru import GRU, ResetBeforeGRU
from tidegate.cells.lstm import LSTM, PeepholeLSTM
from tidegate.cells.residual import ResidualRNN, SigmoidResidualRNN

CELLS = MappingProxyType(
    {
        "rnn": RNN,
        "rnn-relu": ReluRNN,
        "residual": ResidualRNN,
        "residual-sigmoid": SigmoidResidualRNN,
        "gru": GRU,
        "reset-before-gru": ResetBeforeGRU,
        "reset-only-gru": ResetOnlyGRU,
        "update-only-gru": UpdateOnlyGRU,
        "lstm": LSTM,
        "peephole-lstm": PeepholeLSTM,
    }
)

__all__ = [
    "CELLS",
    "GRU",
    "LSTM",
    "RNN",
    "Cell",
    "PeepholeLSTM",
    "ReluRNN",
    "ResetBeforeGRU",
    "ResetOnlyGRU",
    "ResidualRNN",
    "SigmoidResidualRNN",
    "UpdateOnlyGRU",
]
