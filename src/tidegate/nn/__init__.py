"""torch.nn modules: drop-in replacements for torch.nn.RNN, GRU and LSTM, and layers of every other cell."""

from tidegate.nn import convert, init
from tidegate.nn.build import build_layer, find_cell
from tidegate.nn.cells import GRUCell, LSTMCell, RecurrentCell, RNNCell
from tidegate.nn.layer import CellLayer
from tidegate.nn.loss import linear_cross_entropy
from tidegate.nn.recurrent import PeepholeLSTM, Recurrent, ResetBeforeGRU, ResidualRNN
from tidegate.nn.streaming import Stream, stream
from tidegate.nn.tracing import Trace, trace
from tidegate.nn.twins import GRU, LSTM, RNN
from tidegate.nn.why import why

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "CellLayer",
    "GRUCell",
    "LSTMCell",
    "PeepholeLSTM",
    "RNNCell",
    "Recurrent",
    "RecurrentCell",
    "ResetBeforeGRU",
    "ResidualRNN",
    "Stream",
    "Trace",
    "build_layer",
    "convert",
    "find_cell",
    "init",
    "linear_cross_entropy",
    "stream",
    "trace",
    "why",
]
