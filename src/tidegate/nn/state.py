"""Initial and final states: from what a caller hands over to what the engines take, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tidegate.engines import Result
from tidegate.errors import ArgumentError, ShapeError

if TYPE_CHECKING:
    from tidegate.nn.layer import CellLayer

State = Tensor | tuple[Tensor, ...]


def initial_states(layer: CellLayer, x: Tensor, given: State | None, *, batched: bool) -> list[tuple[Tensor, ...]]:
    """The state tuple, (B, H) each, of every layer and direction; zeros where `given` is None.

    `given` is one tensor (layers * directions, B, H), without the B for unbatched input, or a tuple of them for a cell
    of several states. Anything else raises ShapeError or ArgumentError, which says what to write.
    """
    names = [f"{s}_0" for s in layer.step.state]
    count, B, H = layer.num_layers * layer.directions, x.shape[1], layer.hidden_size
    if given is None:
        weight = layer.weights("l0").w_hh
        zero = torch.zeros(B, H, dtype=weight.dtype, device=weight.device)
        return [(zero,) * len(names)] * count
    whole = check_kind(layer, given, names)
    for name, tensor in zip(names, whole):
        check_shape(name, tensor, (count, B, H) if batched else (count, H), batched=batched)
        weight = layer.weights("l0").w_hh
        if tensor.dtype != weight.dtype or tensor.device != weight.device:
            raise ArgumentError(
                f"`{name}` must be {weight.dtype} on {weight.device} like the weights, "
                f"got {tensor.dtype} on {tensor.device}. Use {name}.to(x)."
            )
    whole = whole if batched else tuple(tensor.unsqueeze(1) for tensor in whole)
    return list(zip(*(tensor.unbind(0) for tensor in whole)))


def check_kind(layer: CellLayer, given: State, names: list[str]) -> tuple[Tensor, ...]:
    """`given` as a tuple of tensors, one a state."""
    kind = type(layer).__name__
    if len(names) == 1:
        if isinstance(given, Tensor):
            return (given,)
        if isinstance(given, (tuple, list)) and len(given) > 0 and isinstance(given[0], Tensor):
            remedy = f"y, {names[0]} = layer(x, state[0])" if len(given) == 1 else f"layer(x, {names[0]})"
            which = "a tuple (h_0, c_0) belongs to an LSTM" if len(given) == 2 else "it is not wrapped in a tuple"
            raise ArgumentError(
                f"`{names[0]}` of {kind} must be one tensor, got a {type(given).__name__} of {len(given)}: {which}. "
                f"Write {remedy}."
            )
        raise ArgumentError(f"`{names[0]}` of {kind} must be one tensor or None, got {type(given).__name__}.")
    form = f"({', '.join(names)})"
    if isinstance(given, Tensor):
        raise ArgumentError(
            f"the state of {kind} must be the tuple {form}, got one tensor of {tuple(given.shape)}. "
            f"Write layer(x, {form}); for zeros leave it out."
        )
    if not isinstance(given, (tuple, list)) or not all(isinstance(t, Tensor) for t in given):
        raise ArgumentError(
            f"the state of {kind} must be the tuple of tensors {form} or None, got {type(given).__name__}."
        )
    if len(given) != len(names):
        raise ArgumentError(f"the state of {kind} must be the tuple {form}, got {len(given)} tensors.")
    return tuple(given)


def check_shape(name: str, tensor: Tensor, expected: tuple[int, ...], *, batched: bool) -> None:
    got = tuple(tensor.shape)
    if got == expected:
        return
    remedy = ""
    if got == expected[1:] and expected[0] == 1:
        remedy = f" Use {name}.unsqueeze(0)."
    elif batched and len(got) == 3 and (got[1], got[0], got[2]) == expected:
        remedy = f" Use {name}.transpose(0, 1); states are never batch_first."
    elif batched and len(got) == 3 and got[1] != expected[1] and got[::2] == expected[::2]:
        remedy = f" The input has a batch of {expected[1]}."
    letters = "(layers * directions, B, H)" if batched else "(layers * directions, H)"
    raise ShapeError(f"`{name}` must have shape {letters} = {expected}, got {got}.{remedy}")


def final_state(results: list[Result], *, batched: bool) -> State:
    """The engines' final states as torch.nn returns them: (layers * directions, B, H), a tuple of several states."""
    whole = tuple(torch.stack(tensors) for tensors in zip(*(r.states for r in results)))
    whole = whole if batched else tuple(tensor.squeeze(1) for tensor in whole)
    return whole[0] if len(whole) == 1 else whole
