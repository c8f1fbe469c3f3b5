"""Initial states, converted from the form that a layer accepts to the form of the engines, and final states, back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tidegate.engines import Weights
from tidegate.errors import ArgumentError, ShapeError, StateError
from tidegate.nn.sequence import Sequence, autocasts

if TYPE_CHECKING:
    from tidegate.nn.layer import CellLayer

State = Tensor | tuple[Tensor, ...]


def initial_states(
    layer: CellLayer, weights: Weights, sequence: Sequence, given: State | None
) -> list[tuple[Tensor, ...]]:
    """The state tuple, (B, H) each, of every layer and direction; zeros where `given` is None.

    `given` is one tensor (layers * directions, B, H), without the B for unbatched input, or a tuple of them for a cell
    of several states. Anything else raises ShapeError, StateError or ArgumentError. `weights` are those of any layer.
    Inside torch.autocast states keep their dtype, and zeros have that of the input, as in torch.nn.
    """
    state = layer.cell.state
    count, B = layer.num_layers * (2 if layer.bidirectional else 1), sequence.B
    weight = weights.w_hh
    if given is None:
        data = sequence.data if autocasts(weight) else None
        dtype = weight.dtype if data is None or not data.is_floating_point() else data.dtype
        zeros = weight.new_zeros(B, layer.hidden_size, dtype=dtype)
        first = weight.new_zeros(B, layer.proj_size, dtype=dtype) if layer.proj_size else zeros
        return [(first, *[zeros] * (len(state) - 1))] * count
    widths = [layer.proj_size or layer.hidden_size, *[layer.hidden_size] * (len(state) - 1)]
    names = [f"{s}_0" for s in state]
    tensors = check_kind(type(layer).__name__, given, names)
    for name, tensor, width in zip(names, tensors, widths):
        expected = (count, B, width) if sequence.batched else (count, width)
        check_shape(name, tensor, expected, "P" if width != layer.hidden_size else "H")
        check_like(name, tensor, weight)
    tensors = [t if sequence.batched else t.unsqueeze(1) for t in tensors]
    return list(zip(*(sequence.sort(tensor).unbind(0) for tensor in tensors)))


def final_state(sequence: Sequence, states: list[tuple[Tensor, ...]]) -> State:
    """The engines' final states as torch.nn returns them: (layers * directions, B, H), a tuple for several states.

    Copies, not views, so that they can be changed and detached in place.
    """
    return as_state(sequence, tuple([torch.stack(tensors) for tensors in zip(*states)]))


def as_state(sequence: Sequence, stacked: tuple[Tensor, ...]) -> State:
    """Final states (layers * directions, B, H), in the caller's order and form."""
    if not sequence.batched:
        stacked = tuple([tensor.squeeze(1) for tensor in stacked])
    elif sequence.packed is not None:
        stacked = tuple([sequence.unsort(tensor) for tensor in stacked])
    return stacked[0] if len(stacked) == 1 else stacked


def check_kind(layer: str, given: State, names: list[str]) -> tuple[Tensor, ...]:
    """`given` as a tuple of tensors, one for each state; StateError if it is not that."""
    if len(names) == 1:
        if isinstance(given, Tensor):
            return (given,)
        if isinstance(given, (tuple, list)) and len(given) > 0 and isinstance(given[0], Tensor):
            remedy = "hx[0]" if len(given) == 1 else names[0]
            which = "it is not wrapped" if len(given) == 1 else "a tuple (h_0, c_0) belongs to an LSTM"
            raise StateError(
                f"`hx` of {layer} must be one tensor {names[0]}, got a {type(given).__name__} of {len(given)}: "
                f"{which}. Use {remedy}."
            )
        raise StateError(
            f"`hx` of {layer} must be one tensor {names[0]} or None, got {type(given).__name__}. "
            "For zeros leave it out."
        )
    form = f"({', '.join(names)})"
    if isinstance(given, Tensor):
        raise StateError(
            f"`hx` of {layer} must be the tuple {form}, got one tensor of {tuple(given.shape)}. "
            f"Write {form}; for zeros leave it out."
        )
    if not isinstance(given, (tuple, list)) or not all(isinstance(t, Tensor) for t in given):
        raise StateError(
            f"`hx` of {layer} must be the tuple of tensors {form} or None, got {type(given).__name__}. "
            "For zeros leave it out."
        )
    if len(given) != len(names):
        raise StateError(f"`hx` of {layer} must be the tuple {form}, got {len(given)} tensors. Write {form}.")
    return tuple(given)


def check_shape(name: str, tensor: Tensor, expected: tuple[int, ...], width: str = "H") -> None:
    got = tuple(tensor.shape)
    if got == expected:
        return
    batched = len(expected) == 3
    remedy = f"Use torch.zeros{expected}, or leave it out"
    if got == expected[1:] and expected[0] == 1:
        remedy = f"Use {name}.unsqueeze(0)"
    elif batched and len(got) == 3 and (got[1], got[0], got[2]) == expected:
        remedy = f"Use {name}.transpose(0, 1); states are never batch_first"
    elif batched and len(got) == 3 and got[::2] == expected[::2]:
        remedy = f"The input is a batch of {expected[1]}"
    elif len(got) == len(expected) and got[1:] == expected[1:]:
        remedy = f"It needs {expected[0]}, one for each layer and direction"
    letters = f"(layers * directions, B, {width})" if batched else f"(layers * directions, {width})"
    raise ShapeError(f"`{name}` must have shape {letters} = {expected}, got {got}. {remedy}.")


def check_like(name: str, tensor: Tensor, weight: Tensor) -> None:
    if tensor.layout != torch.strided:
        raise ArgumentError(f"`{name}` must be a dense tensor, got the layout {tensor.layout}. Use {name}.to_dense().")
    if tensor.device != weight.device or (tensor.dtype != weight.dtype and not autocasts(weight)):
        to = weight.dtype if tensor.device == weight.device else f'"{weight.device}"'
        raise ArgumentError(
            f"`{name}` must be {weight.dtype} on {weight.device} like the weights, "
            f"got {tensor.dtype} on {tensor.device}. Use {name}.to({to})."
        )
