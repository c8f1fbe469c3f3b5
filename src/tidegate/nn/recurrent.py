"""Recurrent: a layer of any cell, the user's own included, and the layers of cells that torch.nn does not have."""

import math
import warnings

import torch
from torch import nn

from tidegate import cells
from tidegate.calculus import Step, trace
from tidegate.cells import Cell
from tidegate.engines.choose import NAMES
from tidegate.errors import ArgumentError
from tidegate.nn.gates import packed_names
from tidegate.nn.layer import CellLayer

Device = torch.device | str | int | None


class OwnLayer(CellLayer):
    """A layer that holds its own parameters: base of the layers whose cells torch.nn does not have.

    Parameters, for layer k: weight_ih_l{k} (Ga*H, D), weight_hh_l{k} (Gq*H, H), bias_ih_l{k}, bias_hh_l{k}, and
    vector_l{k} (V*H,) where the cell has per-unit vectors; with the suffix _reverse for the other direction. All start
    uniform in (-1/sqrt(H), 1/sqrt(H)), as in torch.nn. See CellLayer for the shapes of a call.
    """

    proj_size = 0

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
        super().__init__()
        check_arguments(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, engine, recompute
        )
        if dropout and num_layers == 1:
            warnings.warn("`dropout` acts between layers, and there is one layer: use num_layers >= 2.", stacklevel=2)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout, self.bidirectional = bias, batch_first, dropout, bidirectional
        self.engine, self.recompute = engine, recompute
        for i, suffix in enumerate(self.suffixes):
            D = input_size if i < self.directions else hidden_size * self.directions
            for name, shape in parameter_shapes(self.cell, D, hidden_size, bias=bias).items():
                tensor = torch.empty(shape, device=device, dtype=dtype)
                self.register_parameter(f"{name}_{suffix}", nn.Parameter(tensor))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Every parameter anew, uniform in (-1/sqrt(H), 1/sqrt(H))."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def extra_repr(self) -> str:
        parts = [str(self.input_size), str(self.hidden_size)]
        defaults = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False}
        parts += [f"{name}={getattr(self, name)}" for name, usual in defaults.items() if getattr(self, name) != usual]
        return ", ".join([*parts, self.running()])


class ResetBeforeGRU(OwnLayer):
    """The GRU of Cho et al. (2014) as textbooks print it; see tidegate.cells.ResetBeforeGRU for the equations.

    It has torch.nn.GRU's parameters, but it is another function of them, so it is not one of its subclasses.
    """

    @property
    def cell(self) -> type[Cell]:
        return cells.ResetBeforeGRU


class PeepholeLSTM(OwnLayer):
    """The LSTM whose gates see the cell; see tidegate.cells.PeepholeLSTM for the equations."""

    @property
    def cell(self) -> type[Cell]:
        return cells.PeepholeLSTM


class ResidualRNN(OwnLayer):
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
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        engine: str = "auto",
        recompute: bool = False,
    ) -> None:
        if nonlinearity not in ("tanh", "sigmoid"):
            raise ArgumentError(f'`nonlinearity` of ResidualRNN must be "tanh" or "sigmoid", got {nonlinearity!r}.')
        self.nonlinearity = nonlinearity
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype,
            engine=engine, recompute=recompute,
        )  # fmt: skip

    @property
    def cell(self) -> type[Cell]:
        return cells.ResidualRNN if self.nonlinearity == "tanh" else cells.SigmoidResidualRNN


class Recurrent(OwnLayer):
    """A layer of the given cell: `Recurrent(MyCell, input_size, hidden_size)`.

    The cell is traced here, so equations that cannot be differentiated raise EquationError at construction.
    """

    def __init__(
        self,
        cell: type[Cell] | Step,
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
        check_cell_class(cell)
        self._cell = cell
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype,
            engine=engine, recompute=recompute,
        )  # fmt: skip

    @property
    def cell(self) -> type[Cell] | Step:
        return self._cell

    def extra_repr(self) -> str:
        return f"{self.step.name}, {super().extra_repr()}"


def parameter_shapes(cell: type[Cell] | Step, D: int, H: int, *, bias: bool) -> dict[str, tuple[int, ...]]:
    """The shape of every parameter of one layer and direction, by the first part of its name."""
    step = cell if isinstance(cell, Step) else trace(cell)
    rows = {kind: len(names) * H for kind, names in packed_names(step).items()}
    shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows["weight_ih"], D), "weight_hh": (rows["weight_hh"], H)}
    shapes |= {name: (rows[name],) for name in ("bias_ih", "bias_hh") if bias}
    return shapes | ({"vector": (rows["vector"],)} if step.vectors else {})


def check_arguments(
    input_size: int,
    hidden_size: int,
    num_layers: int,
    bias: bool,
    batch_first: bool,
    dropout: float,
    bidirectional: bool,
    engine: str,
    recompute: bool,
) -> None:
    """ArgumentError for the first constructor argument that no layer accepts."""
    check_sizes(input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
    flags = {"bias": bias, "batch_first": batch_first, "bidirectional": bidirectional, "recompute": recompute}
    for name, flag in flags.items():
        if not isinstance(flag, bool):
            raise ArgumentError(f"`{name}` must be True or False, got {flag!r}.")
    if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0 <= dropout <= 1:
        raise ArgumentError(f"`dropout` must be a number in 0..1, got {dropout!r}.")
    check_engine(engine)


def check_cell_class(cell: object) -> None:
    if not isinstance(cell, Step) and not (isinstance(cell, type) and issubclass(cell, Cell)):
        raise ArgumentError(
            f"`cell` must be a class that derives from tidegate.Cell, got {cell!r:.60}. "
            'A layer by name is tidegate.nn.build_layer("gru", ...).'
        )


def check_sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise ArgumentError(f"`{name}` must be a whole number >= 1, got {size!r}.")


def check_engine(engine: str) -> None:
    if engine not in NAMES:
        raise ArgumentError(f"`engine` must be one of {', '.join(NAMES)}, got {engine!r}.")
