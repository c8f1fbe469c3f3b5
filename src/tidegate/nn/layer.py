"""CellLayer: the base class of all layers, of torch.nn's subclasses and of those with parameters of their own."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Proxy
from torch.nn.utils.rnn import PackedSequence

from tidegate.engines import Call, operator, precision
from tidegate.engines.torch_private import compiler_callback
from tidegate.nn.equations import Equations, gate_slices, step_of
from tidegate.nn.forms import BATCH_FIRST, TIME_FIRST, UNBATCHED, Calls, Sizes
from tidegate.nn.fx import as_leaf
from tidegate.nn.quantization import WarnsOfQuantization
from tidegate.nn.sequence import Lengths, as_sequence
from tidegate.nn.short_route import dropout_of, known, of_layer
from tidegate.nn.stack import directions, read_weights, run_stack, suffixes
from tidegate.nn.state import State, initial_states


class CellLayer(WarnsOfQuantization, nn.Module):
    """A stack of recurrent layers of one cell, with the arguments and parameter names of torch.nn.GRU.

    `layer(input, hx=None, *, lengths=None, resets=None)` returns (outputs, state); see `forward` for the shapes.

    With `recompute=True` training stores the states at about sqrt(T) steps instead of every step's gates, and the
    backward pass computes the steps in between again: memory proportional to about sqrt(T) besides inputs and outputs,
    the time of a second forward pass, the same gradients. It may be set at any time. `tidegate.trace` always stores
    every step.
    """

    input_size: int
    hidden_size: int
    num_layers: int
    bias: bool
    batch_first: bool
    dropout: float
    bidirectional: bool
    proj_size: int
    # Defaults where __init__ was not called, such as for a pickled torch.nn.GRU that is loaded as a GRU.
    engine: str = "auto"
    recompute: bool = False

    @property
    def cell(self) -> Equations:
        """The equations that this layer runs: a Cell class, or a Step if it was built from one."""
        raise NotImplementedError(f"{type(self).__name__} must define the property `cell`")

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: State | None = None,
        lengths: Lengths | None = None,
        resets: Tensor | None = None,
    ) -> Any:
        """Returns (outputs, state).

        Letters: T time, B batch, D input_size, H hidden_size.

        * input: (T, B, D), or (B, T, D) with batch_first, or (T, D) unbatched, or a PackedSequence. An int64 or int32
          tensor of the same shape without the D holds class indices 0 <= index < D, and gives what one-hot rows give.
        * hx: the initial state (layers * directions, B, H), without the B if the input is unbatched; a tuple of such
          tensors for a cell of several states. Zeros by default. Of a projected LSTM, h has proj_size features.
        * lengths: (B,) integers in 0..T, a tensor or a list, in any order. After the last step of a sequence its
          outputs are zero and its state does not change, so the results are those of a PackedSequence.
        * resets: (B, T) of torch.bool, also without batch_first; (T,) if unbatched. Where resets[b, t] is true, a new
          sequence begins at step t, from a state of zeros. In the reverse direction it ends at t, so that both
          directions have the same sequences.
        * outputs: as the input, with H * directions features. state: as hx, after the last step.

        ShapeError, ArgumentError and its subclasses name a bad argument; EngineError says why the named engine cannot
        run the call.
        """
        if isinstance(input, Proxy):
            return as_leaf(self, input, hx, lengths=lengths, resets=resets)
        # torch.compile cannot record a PackedSequence, whose sizes are tensor values, nor torch.nn.GRU, RNN or LSTM
        # unless its allow_rnn is set: it would compile the functions that are called from here, one by one.
        if isinstance(input, PackedSequence) if torch.compiler.is_compiling() else compiler_callback() is not None:
            return operator.run_outside(run_layer, self, input, hx, lengths, resets)
        given = of_layer(self, input, hx) if lengths is None and resets is None else None
        if (found := known.run(given)) is not None:
            return found
        result = run_layer(self, input, hx, lengths, resets)
        known.add(given, lambda: calls_of(self, input, hx, *result), self.engine)
        return result

    def gate_parameters(self, gate: str) -> dict[str, Tensor]:
        """The slices of the parameters that belong to one gate, by parameter name, as views: to read, to penalise, and,
        under torch.no_grad(), to write. Views of a parametrized weight are views of its computed value: to read only.

        ArgumentError lists the gates that the cell has.
        """
        return gate_slices(self, step_of(self), [f"_{suffix}" for suffix in suffixes(self)], gate)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, {run_options(self)}"


def run_layer(
    layer: CellLayer,
    input: Tensor | PackedSequence,
    hx: State | None,
    lengths: Lengths | None,
    resets: Tensor | None,
) -> tuple[Tensor | PackedSequence, State]:
    """As CellLayer.forward."""
    weights = read_weights(layer)
    sequence = as_sequence(layer, weights[0].w_ih, input, lengths, resets)
    y, state = run_stack(layer, weights, sequence, hx)
    return sequence.restore(y), state


def calls_of(layer: CellLayer, input: Any, hx: State | None, outputs: Any, state: Any) -> Calls:
    """The calls of all layers and directions, and the sizes of the results."""
    weights, n = read_weights(layer), directions(layer)
    sequence = as_sequence(layer, weights[0].w_ih, input)
    states, x, step, products = (
        initial_states(layer, weights[0], sequence, hx),
        sequence.x,
        step_of(layer),
        precision.asked(),
    )
    calls: list[Call] = []
    for i, (own, w) in enumerate(zip(states, weights)):
        if i and i % n == 0:
            x = w.w_hh.new_empty(*x.shape[:2], n * layer.hidden_size)
        calls.append(Call(step, x, own, w, reverse=i % n == 1, precision=products))
    axes = UNBATCHED if not sequence.batched else BATCH_FIRST if layer.batch_first else TIME_FIRST
    sizes = Sizes(axes, outputs.shape, axes, (state if isinstance(state, Tensor) else state[0]).shape)
    return Calls(calls, sizes, n, dropout_of(layer))


def run_options(layer: CellLayer) -> str:
    """The options of execution, for the layer's repr."""
    return f"engine={layer.engine!r}" + ", recompute=True" * layer.recompute
