"""Tidegate: gated recurrent networks on PyTorch, from equations written once.

    layer = tidegate.GRU(input_size, hidden_size)      # takes the place of torch.nn.GRU
    tidegate.why(layer, x)                             # which engine runs it, and why the others do not
    tidegate.Recurrent(MyCell, input_size, hidden_size)  # a cell of your own
    tidegate.verify(MyCell)                            # its gradients, against every oracle there is
    tidegate.derive(MyCell)                            # its gradients, as mathematics: .render("html")

`tidegate.cells` holds the equations; see `tidegate.Cell` for how to write your own.
"""

import tidegate.waiting  # noqa: F401  first: before anything below loads torch
from tidegate.calculus.derivation import derive
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
from tidegate.errors import (
    ArgumentError,
    CheckpointError,
    DataError,
    DivergenceError,
    EngineError,
    EquationError,
    ShapeError,
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
    trace,
    why,
)
from tidegate.verification import verify, verify_all

__version__ = "0.1.0"

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "ArgumentError",
    "Cell",
    "CheckpointError",
    "DataError",
    "DivergenceError",
    "EngineError",
    "EquationError",
    "GRUCell",
    "LSTMCell",
    "PeepholeLSTM",
    "RNNCell",
    "Recurrent",
    "RecurrentCell",
    "ResetBeforeGRU",
    "ResidualRNN",
    "ShapeError",
    "TidegateError",
    "absolute",
    "convert",
    "derive",
    "exp",
    "init",
    "log",
    "log1p",
    "maximum",
    "minimum",
    "relu",
    "sigmoid",
    "softplus",
    "sqrt",
    "tanh",
    "trace",
    "verify",
    "verify_all",
    "why",
]
