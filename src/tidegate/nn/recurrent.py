"""Recurrent, a layer of any cell, the user's own included, and the layers of cells that torch.nn does not have."""

import math
import warnings
from typing import Any

import torch
from torch import nn

from tidegate import cells
from tidegate.calculus import Step
from tidegate.cells import Cell
from tidegate.engines.torch import flatten
from tidegate.nn.arguments import Device, as_engine, as_flag, check_choice, layer_arguments
from tidegate.nn.equations import Equations, as_equations, parameter_shapes, step_of
from tidegate.nn.layer import CellLayer, run_options
from tidegate.nn.stack import directions, read_weights, suffixes


class OwnLayer(CellLayer):
    """A layer that makes its own parameters: base of the layers whose cells torch.nn does not have.

    Parameters, for layer k: weight_ih_l{k} (Ga*H, D), weight_hh_l{k} (Gq*H, H), bias_ih_l{k} (Ga*H,), bias_hh_l{k}
    (Gq*H,), and vector_l{k} (V*H,) if the cell has V per-unit vectors; with the suffix _reverse for the reverse
    direction. Ga gates have an input projection, Gq a recurrent product. All are initialised uniformly in
    (-1/sqrt(H), 1/sqrt(H)), as in torch.nn. See `forward` for the shapes of a call.
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
        given = layer_arguments(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional)
        for name, value in given.items():
            setattr(self, name, value)
        self.engine, self.recompute = as_engine(engine), as_flag("recompute", recompute)
        if self.dropout and self.num_layers == 1:
            warnings.warn("`dropout` acts between layers, and there is one layer: use num_layers >= 2.", stacklevel=2)
        step, H, n = step_of(self), self.hidden_size, directions(self)
        for i, suffix in enumerate(suffixes(self)):
            D = self.input_size if i < n else H * n
            for name, shape in parameter_shapes(step, D, H, bias=self.bias).items():
                tensor = torch.empty(shape, device=device, dtype=dtype)
                self.register_parameter(f"{name}_{suffix}", nn.Parameter(tensor))
        self.reset_parameters()
        self.flatten_parameters()

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        applied = super()._apply(fn, recurse)
        self.flatten_parameters()
        return applied

    @property
    def step(self) -> Step:
        """The traced equations of the cell."""
        return step_of(self)

    def reset_parameters(self) -> None:
        """Initialise every parameter again, uniformly in (-1/sqrt(H), 1/sqrt(H))."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def flatten_parameters(self) -> None:
        """On a GPU, move the parameters into the one buffer that cuDNN expects, as torch.nn's layers do, if torch has a
        fused function for the cell; otherwise do nothing."""
        flatten(step_of(self), read_weights(self), directions(self))

    def extra_repr(self) -> str:
        parts = [str(self.input_size), str(self.hidden_size)]
        defaults = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False}
        parts += [f"{name}={getattr(self, name)}" for name, usual in defaults.items() if getattr(self, name) != usual]
        return ", ".join([*parts, run_options(self)])


class ResetBeforeGRU(OwnLayer):
    """The GRU of Cho et al. (2014) as textbooks print it; see tidegate.cells.ResetBeforeGRU for the equations.

    It has the parameters of torch.nn.GRU, but computes another function of them, so it is not one of its subclasses.
    """

    @property
    def cell(self) -> type[Cell]:
        return cells.ResetBeforeGRU


class PeepholeLSTM(OwnLayer):
    """The LSTM whose gates also depend on the cell state c; see tidegate.cells.PeepholeLSTM for the equations."""

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
        check_choice("ResidualRNN", "nonlinearity", nonlinearity, ("tanh", "sigmoid"))
        self.nonlinearity = nonlinearity
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype,
            engine=engine, recompute=recompute,
        )  # fmt: skip

    @property
    def cell(self) -> type[Cell]:
        return cells.ResidualRNN if self.nonlinearity == "tanh" else cells.SigmoidResidualRNN


class Recurrent(OwnLayer):
    """A layer of the given cell, a Cell class or a traced Step: `Recurrent(MyCell, input_size, hidden_size)`.

    A Cell class is traced here, so equations that cannot be differentiated raise EquationError at construction.
    """

    def __init__(
        self,
        cell: Equations,
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
        self._cell = as_equations(cell)
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype,
            engine=engine, recompute=recompute,
        )  # fmt: skip

    @property
    def cell(self) -> Equations:
        return self._cell

    def extra_repr(self) -> str:
        return f"{self.step.name}, {super().extra_repr()}"
