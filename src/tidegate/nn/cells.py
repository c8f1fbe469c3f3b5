"""One step as a module: replacements for torch.nn.RNNCell, GRUCell and LSTMCell, and the step of every other cell."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Proxy

from tidegate import cells
from tidegate.calculus import Step
from tidegate.cells import Cell
from tidegate.engines import Call, Weights, choose, operator, precision
from tidegate.errors import ShapeError
from tidegate.nn.arguments import Device, as_engine, as_size, as_truth, check_choice
from tidegate.nn.equations import Equations, as_equations, gate_slices, parameter_shapes, step_of
from tidegate.nn.forms import STEP, Calls, Sizes
from tidegate.nn.fx import as_leaf
from tidegate.nn.quantization import WarnsOfQuantization
from tidegate.nn.sequence import autocasts, check_features
from tidegate.nn.short_route import known, of_cell
from tidegate.nn.stack import weights_dtype
from tidegate.nn.state import State, check_kind, check_like


class CellModule(WarnsOfQuantization, nn.Module):
    """One step of a cell, with the arguments and parameter names of torch.nn.GRUCell.

    `cell(input, hx=None)` returns the new state; see `forward` for the shapes.
    """

    input_size: int
    hidden_size: int
    bias: bool
    # The default where __init__ was not called, such as for a pickled torch.nn.GRUCell that is loaded as a GRUCell.
    engine: str = "auto"

    @property
    def cell(self) -> Equations:
        """The equations that this module runs: a Cell class, or a Step if it was built from one."""
        raise NotImplementedError(f"{type(self).__name__} must define the property `cell`")

    def forward(self, input: Tensor, hx: State | None = None) -> Any:
        """Returns the new state, in the form of hx.

        * input: (B, D) or (D,), dense or sparse; or class indices, an int64 or int32 tensor (B,) or () with
          0 <= index < D, in place of one-hot rows. B is the batch, D input_size, H hidden_size.
        * hx: the state (B, H) or (H,), a tuple for a cell of several states; zeros by default.

        ShapeError, ArgumentError and its subclasses name a bad argument; EngineError says why the named engine cannot
        run the call.
        """
        given = of_cell(self, input, hx)
        if (found := known.run(given)) is not None:
            return found
        if isinstance(input, Proxy):
            return as_leaf(self, input, hx)
        if isinstance(input, Tensor) and input.is_sparse:
            input = input.to_dense()
        weights = cell_weights(self)
        check_features(type(self).__name__, input, {2: "(B, D)", 1: "(D,)"}, weights.w_ih)
        batched = input.dim() == (2 if input.is_floating_point() else 1)
        x = input.unsqueeze(0) if batched else input.unsqueeze(0).unsqueeze(0)
        states = states_before(self, weights.w_hh, x, hx, batched=batched)
        new = run_step(self, weights, x, states)
        new = new if batched else tuple(s.squeeze(0) for s in new)
        sizes = Sizes(STEP, None, STEP, new[0].shape)
        known.add(given, lambda: Calls([as_call(self, x, states, weights)], sizes), self.engine)
        return new[0] if len(new) == 1 else new

    def gate_parameters(self, gate: str) -> dict[str, Tensor]:
        """The slices of the parameters that belong to one gate, by parameter name, as views: to read, to penalise, and,
        under torch.no_grad(), to write. Views of a parametrized weight are views of its computed value: to read only.

        ArgumentError lists the gates that the cell has.
        """
        return gate_slices(self, step_of(self), [""], gate)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, engine={self.engine!r}"


def run_step(module: CellModule, weights: Weights, x: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The states after x, a sequence of one step."""
    if module.hidden_size == 0:
        return tuple(s + weights.w_ih.sum() for s in states)  # (B, 0), and still a function of the weights
    w, products = weights.w_hh, precision.asked()
    # Inside torch.autocast the torch engine converts dtypes as torch.nn does; all other engines compute in the dtype of
    # the weights. On a CPU the torch engine runs only if it is named, on other devices whenever it can run the call.
    if autocasts(w) and not torch.compiler.is_compiling():
        engine, call = module.engine, as_call(module, x, states, weights, products)
        if engine in choose.STACKED or (
            engine == "auto" and not w.is_cpu and choose.select(call).NAME in choose.STACKED
        ):
            return choose.dispatch(call, engine).states
    with weights_dtype(w):
        x = x.to(w.dtype) if x.is_floating_point() else x
        states = tuple([s.to(w.dtype) for s in states])
        if torch.compiler.is_compiling():
            found = operator.record(module.cell, module.engine, False, False, products, x, states, weights, None, None)
            return found.states
        call = as_call(module, x, states, weights, products)
        return choose.dispatch(call, module.engine).states


def as_call(
    module: CellModule, x: Tensor, states: tuple[Tensor, ...], weights: Weights, products: str | None = None
) -> Call:
    """The engine call of x, a sequence of one step; `products` is the precision of products, by default as torch's
    switches are set now."""
    return Call(step_of(module), x, states, weights, precision=products or precision.asked())


def cell_weights(module: CellModule) -> Weights:
    """The parameters as an engine takes them, each read once."""
    weights = (getattr(module, name, None) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "vector"))
    return Weights(*weights)  # type: ignore[arg-type]


def states_before(
    module: CellModule, weight: Tensor, x: Tensor, hx: State | None, *, batched: bool
) -> tuple[Tensor, ...]:
    """The states before the step x (1, B, D), (B, H) each; ShapeError, StateError or ArgumentError for a bad `hx`.

    Inside torch.autocast states keep their dtype, and zeros have that of the input, as in torch.nn.
    """
    names, B, H = module.cell.state, x.shape[1], module.hidden_size
    if hx is None:
        dtype = x.dtype if x.is_floating_point() and autocasts(weight) else weight.dtype
        return (weight.new_zeros(B, H, dtype=dtype),) * len(names)
    given = check_kind(type(module).__name__, hx, [f"{s}_0" for s in names])
    expected = (B, H) if batched else (H,)
    for s, tensor in zip(names, given):
        if tuple(tensor.shape) != expected:
            letters = "(B, H)" if batched else "(H,)"
            raise ShapeError(
                f"`{s}_0` must have shape {letters} = {expected}, got {tuple(tensor.shape)}. "
                f"Use torch.zeros{expected}, or leave it out."
            )
        check_like(f"{s}_0", tensor, weight)
    return tuple(t if batched else t.unsqueeze(0) for t in given)


class RNNCell(CellModule, nn.RNNCell):
    """torch.nn.RNNCell on Tidegate's engines; see tidegate.cells.RNN and ReluRNN for the equations.

    `cell(input, hx=None)` returns h' in the form of hx. With B batch, D input_size and H hidden_size:

    * input: (B, D) or (D,); or class indices, an int64 or int32 tensor (B,) or () with 0 <= index < D, in place of
      one-hot rows.
    * hx: the state h (B, H) or (H,); zeros by default.

    `engine` is "auto" or the name of an engine. All other arguments are those of torch.nn.RNNCell.
    """

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
        check_choice("RNNCell", "nonlinearity", nonlinearity, ("tanh", "relu"))
        given = cell_arguments(input_size, hidden_size, bias)
        super().__init__(**given, nonlinearity=nonlinearity, device=device, dtype=dtype)
        self.engine = as_engine(engine)

    @property
    def cell(self) -> type[Cell]:
        return cells.RNN if self.nonlinearity == "tanh" else cells.ReluRNN


class GRUCell(CellModule, nn.GRUCell):
    """torch.nn.GRUCell on Tidegate's engines; see tidegate.cells.GRU for the equations.

    `cell(input, hx=None)` returns h' in the form of hx. With B batch, D input_size and H hidden_size:

    * input: (B, D) or (D,); or class indices, an int64 or int32 tensor (B,) or () with 0 <= index < D, in place of
      one-hot rows.
    * hx: the state h (B, H) or (H,); zeros by default.

    `engine` is "auto" or the name of an engine. All other arguments are those of torch.nn.GRUCell.
    """

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
        super().__init__(**cell_arguments(input_size, hidden_size, bias), device=device, dtype=dtype)
        self.engine = as_engine(engine)

    @property
    def cell(self) -> type[Cell]:
        return cells.GRU


class LSTMCell(CellModule, nn.LSTMCell):
    """torch.nn.LSTMCell on Tidegate's engines; see tidegate.cells.LSTM for the equations.

    `cell(input, hx=None)` returns (h', c') in the form of hx. With B batch, D input_size and H hidden_size:

    * input: (B, D) or (D,); or class indices, an int64 or int32 tensor (B,) or () with 0 <= index < D, in place of
      one-hot rows.
    * hx: the state (h, c), (B, H) or (H,) each; zeros by default.

    `engine` is "auto" or the name of an engine. All other arguments are those of torch.nn.LSTMCell.
    """

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
        super().__init__(**cell_arguments(input_size, hidden_size, bias), device=device, dtype=dtype)
        self.engine = as_engine(engine)

    @property
    def cell(self) -> type[Cell]:
        return cells.LSTM


class RecurrentCell(CellModule):
    """One step of the given cell, a Cell class or a traced Step: `RecurrentCell(MyCell, input_size, hidden_size)`.

    Parameters weight_ih, weight_hh, bias_ih, bias_hh and, for a cell with per-unit vectors, vector; all are initialised
    uniformly in (-1/sqrt(H), 1/sqrt(H)).
    """

    def __init__(
        self,
        cell: Equations,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        engine: str = "auto",
    ) -> None:
        super().__init__()
        self._cell, self.engine = as_equations(cell), as_engine(engine)
        for name, value in cell_arguments(input_size, hidden_size, bias, smallest=1).items():
            setattr(self, name, value)
        shapes = parameter_shapes(self.step, self.input_size, self.hidden_size, bias=self.bias)
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape, device=device, dtype=dtype)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise every parameter again, uniformly in (-1/sqrt(H), 1/sqrt(H))."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    @property
    def cell(self) -> Equations:
        return self._cell

    @property
    def step(self) -> Step:
        """The traced equations of the cell."""
        return step_of(self)

    def extra_repr(self) -> str:
        bias = "" if self.bias else ", bias=False"
        return f"{self.step.name}, {self.input_size}, {self.hidden_size}{bias}, engine={self.engine!r}"


def cell_arguments(input_size: int, hidden_size: int, bias: bool, *, smallest: int = 0) -> dict[str, Any]:
    """The arguments that all cells share, by name; torch.nn's cells allow a size of 0 and any truth value as `bias`."""
    return {
        "input_size": as_size("input_size", input_size, smallest=smallest),
        "hidden_size": as_size("hidden_size", hidden_size, smallest=smallest),
        "bias": as_truth("bias", bias),
    }
