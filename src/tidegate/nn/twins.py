"""The twins of torch.nn.RNN, GRU and LSTM: same constructor, parameters, state_dict and numbers; isinstance holds."""

import torch

from tidegate import cells
from tidegate.cells import Cell
from tidegate.errors import ArgumentError
from tidegate.nn.layer import CellLayer
from tidegate.nn.recurrent import Device, check_arguments


class RNN(CellLayer, torch.nn.RNN):
    """torch.nn.RNN on Tidegate's engines; see tidegate.cells.RNN and ReluRNN for the equations.

    `engine` is "auto" or the name of an engine; `tidegate.why(layer, x)` lists them. `recompute`: see CellLayer.
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
        engine: str = "auto",
        recompute: bool = False,
    ) -> None:
        check_arguments(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, engine, recompute
        )
        if nonlinearity not in ("tanh", "relu"):
            raise ArgumentError(f'`nonlinearity` of RNN must be "tanh" or "relu", got {nonlinearity!r}.')
        super().__init__(
            input_size, hidden_size, num_layers, nonlinearity, bias, batch_first, dropout, bidirectional,
            device=device, dtype=dtype,
        )  # fmt: skip
        self.engine, self.recompute = engine, recompute

    @property
    def cell(self) -> type[Cell]:
        return cells.RNN if self.nonlinearity == "tanh" else cells.ReluRNN


class GRU(CellLayer, torch.nn.GRU):
    """torch.nn.GRU on Tidegate's engines; see tidegate.cells.GRU for the equations.

    `engine` is "auto" or the name of an engine; `tidegate.why(layer, x)` lists them. `recompute`: see CellLayer.
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
        engine: str = "auto",
        recompute: bool = False,
    ) -> None:
        check_arguments(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, engine, recompute
        )
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            device=device, dtype=dtype,
        )  # fmt: skip
        self.engine, self.recompute = engine, recompute

    @property
    def cell(self) -> type[Cell]:
        return cells.GRU


class LSTM(CellLayer, torch.nn.LSTM):
    """torch.nn.LSTM on Tidegate's engines; see tidegate.cells.LSTM for the equations.

    With proj_size P > 0 the output is projected, h = h' W_hr^T (Sak, Senior and Beaufays, 2014), and has P features.

    `engine` is "auto" or the name of an engine; `tidegate.why(layer, x)` lists them. `recompute`: see CellLayer.
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
        check_arguments(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, engine, recompute
        )
        if not isinstance(proj_size, int) or not 0 <= proj_size < hidden_size:
            raise ArgumentError(
                f"`proj_size` of LSTM must be in 0..H-1 = 0..{hidden_size - 1}, 0 for no projection, got {proj_size!r}."
            )
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size,
            device=device, dtype=dtype,
        )  # fmt: skip
        self.engine, self.recompute = engine, recompute

    @property
    def cell(self) -> type[Cell]:
        return cells.LSTM
