"""One step as a module: twins of torch.nn.RNNCell, GRUCell and LSTMCell, and the step of every other cell."""

import math
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from tidegate import cells
from tidegate.calculus import trace
from tidegate.cells import Cell
from tidegate.engines import Call, Result, Weights, choose, operator
from tidegate.errors import ArgumentError, ShapeError
from tidegate.nn.gates import gate_slices
from tidegate.nn.recurrent import Device, check_cell_class, check_engine, check_sizes, parameter_shapes
from tidegate.nn.sequence import autocasts, check_features
from tidegate.nn.state import State, check_kind, check_like


class CellModule(nn.Module):
    """One step of a cell, with the arguments and parameter names of torch.nn.GRUCell.

    `cell(input, hx=None)`: input (B, D) or (D,), or class numbers (B,) or (); hx (B, H) or (H,), a tuple for a cell of
    several states, zeros by default. Returns the new state in the same form.
    """

    input_size: int
    hidden_size: int
    bias: bool
    engine: str
    weight_ih: Tensor
    weight_hh: Tensor

    @property
    def cell(self) -> type[Cell]:
        """The class whose equations this module runs."""
        raise NotImplementedError(f"{type(self).__name__} does not name its cell")

    def weights(self) -> Weights:
        """The parameters as an engine takes them."""
        optional = (getattr(self, name, None) for name in ("bias_ih", "bias_hh", "vector"))
        return Weights(self.weight_ih, self.weight_hh, *optional)

    def forward(self, input: Tensor, hx: State | None = None) -> Any:
        weight = self.weight_ih
        check_features(type(self).__name__, input, {2: "(B, D)", 1: "(D,)"}, weight)
        batched = input.dim() == (2 if input.is_floating_point() else 1)
        x = input.unsqueeze(0) if batched else input.unsqueeze(0).unsqueeze(0)
        states = self.states(x, hx, batched=batched)
        with torch.autocast(weight.device.type, enabled=False) if autocasts(weight) else nullcontext():
            x = x.to(weight.dtype) if x.is_floating_point() else x
            new = self.step_once(x, states).states
        new = new if batched else tuple(s.squeeze(0) for s in new)
        return new[0] if len(new) == 1 else new

    def step_once(self, x: Tensor, states: tuple[Tensor, ...]) -> Result:
        """A sequence of one step."""
        if torch.compiler.is_compiling():
            return operator.record(self.cell, self.engine, False, False, x, states, self.weights(), None, None)
        return choose.dispatch(Call(trace(self.cell), x, states, self.weights()), self.engine)

    def states(self, x: Tensor, hx: State | None, *, batched: bool) -> tuple[Tensor, ...]:
        """The states before the step, (B, H) each."""
        weight, B, H = self.weight_hh, x.shape[1], self.hidden_size
        names = self.cell.state
        if hx is None:
            return (torch.zeros(B, H, dtype=weight.dtype, device=weight.device),) * len(names)
        given = check_kind(type(self).__name__, hx, [f"{s}_0" for s in names])
        expected = (B, H) if batched else (H,)
        for s, tensor in zip(names, given):
            if tuple(tensor.shape) != expected:
                letters = "(B, H)" if batched else "(H,)"
                raise ShapeError(
                    f"`{s}_0` must have shape {letters} = {expected}, got {tuple(tensor.shape)}. "
                    f"Use torch.zeros{expected}, or leave it out."
                )
            check_like(f"{s}_0", tensor, weight)
        return tuple(t.to(weight.dtype) if batched else t.to(weight.dtype).unsqueeze(0) for t in given)

    def gate_parameters(self, gate: str) -> dict[str, Tensor]:
        """The slices that belong to one gate, by parameter name, as views: to read, to penalise, and, under
        torch.no_grad(), to write; those of a parametrized weight are of its present value, to read only.

        ArgumentError lists the gates there are.
        """
        return gate_slices(self, trace(self.cell), [""], gate)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, engine={self.engine!r}"


class RNNCell(CellModule, nn.RNNCell):
    """torch.nn.RNNCell on Tidegate's engines; see tidegate.cells.RNN and ReluRNN for the equations."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        engine: str = "auto",
    ) -> None:
        check_cell(input_size, hidden_size, bias, engine)
        if nonlinearity not in ("tanh", "relu"):
            raise ArgumentError(f'`nonlinearity` of RNNCell must be "tanh" or "relu", got {nonlinearity!r}.')
        super().__init__(input_size, hidden_size, bias, nonlinearity, device=device, dtype=dtype)
        self.engine = engine

    @property
    def cell(self) -> type[Cell]:
        return cells.RNN if self.nonlinearity == "tanh" else cells.ReluRNN


class GRUCell(CellModule, nn.GRUCell):
    """torch.nn.GRUCell on Tidegate's engines; see tidegate.cells.GRU for the equations."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        engine: str = "auto",
    ) -> None:
        check_cell(input_size, hidden_size, bias, engine)
        super().__init__(input_size, hidden_size, bias, device=device, dtype=dtype)
        self.engine = engine

    @property
    def cell(self) -> type[Cell]:
        return cells.GRU


class LSTMCell(CellModule, nn.LSTMCell):
    """torch.nn.LSTMCell on Tidegate's engines; see tidegate.cells.LSTM for the equations."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        engine: str = "auto",
    ) -> None:
        check_cell(input_size, hidden_size, bias, engine)
        super().__init__(input_size, hidden_size, bias, device=device, dtype=dtype)
        self.engine = engine

    @property
    def cell(self) -> type[Cell]:
        return cells.LSTM


class RecurrentCell(CellModule):
    """One step of the given cell: `RecurrentCell(MyCell, input_size, hidden_size)`.

    Parameters weight_ih, weight_hh, bias_ih, bias_hh and, for a cell of per-unit vectors, vector; all start uniform in
    (-1/sqrt(H), 1/sqrt(H)).
    """

    def __init__(
        self,
        cell: type[Cell],
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        engine: str = "auto",
    ) -> None:
        super().__init__()
        check_cell_class(cell)
        check_cell(input_size, hidden_size, bias, engine)
        self._cell, self.engine = cell, engine
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        for name, shape in parameter_shapes(cell, input_size, hidden_size, bias=bias).items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape, device=device, dtype=dtype)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Every parameter anew, uniform in (-1/sqrt(H), 1/sqrt(H))."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    @property
    def cell(self) -> type[Cell]:
        return self._cell

    def extra_repr(self) -> str:
        bias = "" if self.bias else ", bias=False"
        return f"{self.cell.__name__}, {self.input_size}, {self.hidden_size}{bias}, engine={self.engine!r}"


def check_cell(input_size: int, hidden_size: int, bias: bool, engine: str) -> None:
    check_sizes(input_size=input_size, hidden_size=hidden_size)
    if not isinstance(bias, bool):
        raise ArgumentError(f"`bias` must be True or False, got {bias!r}.")
    check_engine(engine)
