"""The public names of the package."""

from tidegate import memory
from tidegate.calculus.derivation import derive
from tidegate.calculus.diagram import diagram
from tidegate.cells.cell import Cell
from tidegate.cells.functions import (
    absolute,
    exp,
    log,
    log1p,
    maximum,
    minimum,
    relu,
    sigmoid,
    softplus,
    sqrt,
    tanh,
)
from tidegate.comparing import compare
from tidegate.errors import (
    ArgumentError,
    ArgumentTypeError,
    CheckpointError,
    DataError,
    DivergenceError,
    EngineError,
    EquationError,
    ShapeError,
    StateError,
    TidegateError,
)
from tidegate.nn import (
    GRU,
    LSTM,
    RNN,
    GRUCell,
    LSTMCell,
    PeepholeLSTM,
    Recurrent,
    RecurrentCell,
    ResetBeforeGRU,
    ResidualRNN,
    RNNCell,
    convert,
    init,
    linear_cross_entropy,
    stream,
    trace,
    why,
)
from tidegate.train.load import load
from tidegate.train.model import LanguageModel
from tidegate.train.save import save
from tidegate.train.update import clip_and_step
from tidegate.verification import verify, verify_all

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "ArgumentError",
    "ArgumentTypeError",
    "Cell",
    "CheckpointError",
    "DataError",
    "DivergenceError",
    "EngineError",
    "EquationError",
    "GRUCell",
    "LSTMCell",
    "LanguageModel",
    "PeepholeLSTM",
    "RNNCell",
    "Recurrent",
    "RecurrentCell",
    "ResetBeforeGRU",
    "ResidualRNN",
    "ShapeError",
    "StateError",
    "TidegateError",
    "absolute",
    "clip_and_step",
    "compare",
    "convert",
    "derive",
    "diagram",
    "exp",
    "init",
    "linear_cross_entropy",
    "load",
    "log",
    "log1p",
    "maximum",
    "memory",
    "minimum",
    "relu",
    "save",
    "sigmoid",
    "softplus",
    "sqrt",
    "stream",
    "tanh",
    "trace",
    "verify",
    "verify_all",
    "why",
]
