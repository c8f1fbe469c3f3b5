"""Recurrent: a layer of any cell, the user's own included, and the layers of cells that torch.nn does not have."""

import math

import torch
from torch import nn

from tidegate import cells
from tidegate.calculus import trace
from tidegate.cells import Cell
from tidegate.engines.choose import NAMES
from tidegate.errors import ArgumentError
from tidegate.nn.layer import CellLayer


class Recurrent(CellLayer):
    """A layer of the given cell: `Recurrent(MyCell, input_size, hidden_size)`.

    Parameters, for layer k: weight_ih_l{k} (Ga*H, D), weight_hh_l{k} (Gq*H, H), bias_ih_l{k}, bias_hh_l{k}, and
    vector_l{k} (V*H,) where the cell has per-unit vectors; with the suffix _reverse for the other direction. All start
    uniform in (-1/sqrt(H), 1/sqrt(H)), as in torch.nn. The cell is traced here, so equations that cannot be
    differentiated raise EquationError at construction. See CellLayer for the shapes of a call.
    """

    def __init__(
        self,
        cell: type[Cell],
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        engine: str = "auto",
    ) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        check_engine(engine)
        if not 0 <= dropout <= 1:
            raise ArgumentError(f"`dropout` must be in 0..1, got {dropout!r}.")
        self._cell = cell
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout, self.bidirectional = bias, batch_first, dropout, bidirectional
        self.engine = engine
        step, H = trace(cell), hidden_size
        sizes = {"bias_ih": len(step.inputs), "bias_hh": len(step.products)} if bias else {}
        sizes |= {"vector": len(step.vectors)} if step.vectors else {}
        for i, suffix in enumerate(self.parameter_suffixes()):
            D = input_size if i < self.directions else H * self.directions
            shapes = {"weight_ih": (len(step.inputs) * H, D), "weight_hh": (len(step.products) * H, H)}
            shapes |= {name: (count * H,) for name, count in sizes.items()}
            for name, shape in shapes.items():
                self.register_parameter(
                    f"{name}_{suffix}", nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
                )
        self.reset_parameters()

    @property
    def cell(self) -> type[Cell]:
        return self._cell

    def reset_parameters(self) -> None:
        """Every parameter anew, uniform in (-1/sqrt(H), 1/sqrt(H))."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def extra_repr(self) -> str:
        own = type(self) is Recurrent
        parts = [self.cell.__name__] * own + [str(self.input_size), str(self.hidden_size)]
        defaults = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False}
        parts += [f"{name}={getattr(self, name)}" for name, usual in defaults.items() if getattr(self, name) != usual]
        return ", ".join([*parts, f"engine={self.engine!r}"])


class ResetBeforeGRU(Recurrent):
    """The GRU of Cho et al. (2014) as textbooks print it; see tidegate.cells.ResetBeforeGRU for the equations.

    It has torch.nn.GRU's parameters, but it is another function of them, so it is not one of its subclasses.
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
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        engine: str = "auto",
    ) -> None:
        super().__init__(
            cells.ResetBeforeGRU, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            device, dtype, engine=engine,
        )  # fmt: skip


class PeepholeLSTM(Recurrent):
    """The LSTM whose gates see the cell; see tidegate.cells.PeepholeLSTM for the equations."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        engine: str = "auto",
    ) -> None:
        super().__init__(
            cells.PeepholeLSTM, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            device, dtype, engine=engine,
        )  # fmt: skip


class ResidualRNN(Recurrent):
    """h' = h + g(W x + b + U h + c), with g the `nonlinearity`, "tanh" or "sigmoid"; see tidegate.cells.ResidualRNN."""

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
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        engine: str = "auto",
    ) -> None:
        known = {"tanh": cells.ResidualRNN, "sigmoid": cells.SigmoidResidualRNN}
        if nonlinearity not in known:
            raise ArgumentError(f'`nonlinearity` of ResidualRNN must be "tanh" or "sigmoid", got {nonlinearity!r}.')
        super().__init__(
            known[nonlinearity], input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            device, dtype, engine=engine,
        )  # fmt: skip


def check_sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise ArgumentError(f"`{name}` must be a whole number >= 1, got {size!r}.")


def check_engine(engine: str) -> None:
    if engine not in NAMES:
        raise ArgumentError(f"`engine` must be one of {', '.join(NAMES)}, got {engine!r}.")
