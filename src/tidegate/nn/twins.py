"""Drop-in subclasses ("twins") of torch.nn.RNN, GRU and LSTM: same constructor, parameters, state_dict and results."""

import torch

from tidegate import cells
from tidegate.cells import Cell
from tidegate.errors import ArgumentError
from tidegate.nn.arguments import (
    Device,
    as_engine,
    as_flag,
    as_size,
    check_choice,
    check_no_projection,
    layer_arguments,
)
from tidegate.nn.layer import CellLayer


class RNN(CellLayer, torch.nn.RNN):
    """torch.nn.RNN on Tidegate's engines; see tidegate.cells.RNN and ReluRNN for the equations.

    `layer(input, hx=None, *, lengths=None, resets=None)` returns (outputs, state). With T time, B batch, D input_size
    and H hidden_size:

    * input: (T, B, D), or (B, T, D) with batch_first, or (T, D), or a PackedSequence; or class indices, an int64 or
      int32 tensor of these shapes without the D, 0 <= index < D, in place of one-hot rows.
    * hx: the initial state h, (layers * directions, B, H), or without the B if the input has none; zeros by default.
    * lengths: (B,) integers in 0..T, in any order. After the end of a sequence its outputs are zero and its state does
      not change, as for a PackedSequence.
    * resets: (B, T) of torch.bool, also with batch_first=False. Where resets[b, t] is true, a new sequence begins at t,
      from a state of zeros.
    * outputs: (T, B, H * directions), in the layout of the input. state: as hx, after the last step.

    `engine` is "auto" or the name of an engine; `tidegate.why(layer, x)` lists them and says which one runs. With
    `recompute=True` training stores about sqrt(T) steps and runs the forward pass twice. All other arguments
    are those of torch.nn.RNN. Bad arguments raise ArgumentError, ArgumentTypeError, StateError or ShapeError.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        proj_size: int = 0,
        engine: str = "auto",
        recompute: bool = False,
    ) -> None:
        given = layer_arguments(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional)
        check_no_projection("RNN", proj_size)
        check_choice("RNN", "nonlinearity", nonlinearity, ("tanh", "relu"))
        super().__init__(**given, nonlinearity=nonlinearity, device=device, dtype=dtype)
        self.engine, self.recompute = as_engine(engine), as_flag("recompute", recompute)

    @property
    def cell(self) -> type[Cell]:
        return cells.RNN if self.nonlinearity == "tanh" else cells.ReluRNN


class GRU(CellLayer, torch.nn.GRU):
    """torch.nn.GRU on Tidegate's engines; see tidegate.cells.GRU for the equations.

    `layer(input, hx=None, *, lengths=None, resets=None)` returns (outputs, state). With T time, B batch, D input_size
    and H hidden_size:

    * input: (T, B, D), or (B, T, D) with batch_first, or (T, D), or a PackedSequence; or class indices, an int64 or
      int32 tensor of these shapes without the D, 0 <= index < D, in place of one-hot rows.
    * hx: the initial state h, (layers * directions, B, H), or without the B if the input has none; zeros by default.
    * lengths: (B,) integers in 0..T, in any order. After the end of a sequence its outputs are zero and its state does
      not change, as for a PackedSequence.
    * resets: (B, T) of torch.bool, also with batch_first=False. Where resets[b, t] is true, a new sequence begins at t,
      from a state of zeros.
    * outputs: (T, B, H * directions), in the layout of the input. state: as hx, after the last step.

    `engine` is "auto" or the name of an engine; `tidegate.why(layer, x)` lists them and says which one runs. With
    `recompute=True` training stores about sqrt(T) steps and runs the forward pass twice. All other arguments
    are those of torch.nn.GRU. Bad arguments raise ArgumentError, ArgumentTypeError, StateError or ShapeError.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        proj_size: int = 0,
        engine: str = "auto",
        recompute: bool = False,
    ) -> None:
        given = layer_arguments(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional)
        check_no_projection("GRU", proj_size)
        super().__init__(**given, device=device, dtype=dtype)
        self.engine, self.recompute = as_engine(engine), as_flag("recompute", recompute)

    @property
    def cell(self) -> type[Cell]:
        return cells.GRU


class LSTM(CellLayer, torch.nn.LSTM):
    """torch.nn.LSTM on Tidegate's engines; see tidegate.cells.LSTM for the equations.

    With proj_size P > 0 the output is projected, h = h' W_hr^T (Sak, Senior and Beaufays, 2014), and has P features.

    `layer(input, hx=None, *, lengths=None, resets=None)` returns (outputs, state). With T time, B batch, D input_size
    and H hidden_size:

    * input: (T, B, D), or (B, T, D) with batch_first, or (T, D), or a PackedSequence; or class indices, an int64 or
      int32 tensor of these shapes without the D, 0 <= index < D, in place of one-hot rows.
    * hx: the initial states (h, c), (layers * directions, B, H) each, or without the B if the input has none; zeros by
      default. With proj_size P > 0, h has P features in place of H.
    * lengths: (B,) integers in 0..T, in any order. After the end of a sequence its outputs are zero and its state does
      not change, as for a PackedSequence.
    * resets: (B, T) of torch.bool, also with batch_first=False. Where resets[b, t] is true, a new sequence begins at t,
      from a state of zeros.
    * outputs: (T, B, H * directions), in the layout of the input. state: as hx, after the last step.

    `engine` is "auto" or the name of an engine; `tidegate.why(layer, x)` lists them and says which one runs. With
    `recompute=True` training stores about sqrt(T) steps and runs the forward pass twice. All other arguments
    are those of torch.nn.LSTM. Bad arguments raise ArgumentError, ArgumentTypeError, StateError or ShapeError.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        engine: str = "auto",
        recompute: bool = False,
    ) -> None:
        given = layer_arguments(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional)
        P, H = as_size("proj_size", proj_size, smallest=0), given["hidden_size"]
        if P >= H:
            raise ArgumentError(f"`proj_size` of LSTM must be in 0..H-1 = 0..{H - 1}, 0 for no projection, got {P}.")
        super().__init__(**given, proj_size=P, device=device, dtype=dtype)
        self.engine, self.recompute = as_engine(engine), as_flag("recompute", recompute)

    @property
    def cell(self) -> type[Cell]:
        return cells.LSTM
