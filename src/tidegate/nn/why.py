"""Which engine runs a call, and why the others do not."""

from dataclasses import replace

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from tidegate.engines import Verdicts, choose, precision
from tidegate.errors import ArgumentTypeError
from tidegate.nn.layer import CellLayer
from tidegate.nn.sequence import Lengths, as_sequence
from tidegate.nn.stack import first_call, read_weights
from tidegate.nn.state import State, initial_states


def why(
    layer: CellLayer,
    input: Tensor | PackedSequence,
    hx: State | None = None,
    *,
    lengths: Lengths | None = None,
    resets: Tensor | None = None,
) -> Verdicts:
    """Which engine would run the first layer of `layer(input, hx, ...)`, and why the others would not.

    The printed form has a line with the engine, the device and whether it is slow, then one line for each engine with
    its reason. A layer with engine="auto" runs on the first engine that can run it; a layer with a named engine runs on
    that engine or raises EngineError.
    """
    if not isinstance(layer, CellLayer):
        raise ArgumentTypeError(
            f"`layer` must be a layer of tidegate, such as tidegate.GRU, got {type(layer).__name__}. "
            "tidegate.convert.replace_layers(model) replaces those of torch.nn."
        )
    weights = read_weights(layer)
    sequence = as_sequence(layer, weights[0].w_ih, input, lengths, resets)
    states = initial_states(layer, weights[0], sequence, hx)
    call = first_call(layer, weights, sequence, states, precision.asked())
    if sequence.packed is not None:
        call = replace(call, x=sequence.x.to(call.x.dtype))
    return choose.why(call, layer.engine)
