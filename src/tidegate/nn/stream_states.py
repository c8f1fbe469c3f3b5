"""The states of a stream: arrays that its program reads and writes, and the tensors that a layer takes as `hx`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tidegate.errors import ArgumentTypeError, ShapeError, StateError
from tidegate.nn.state import State, check_kind, check_like, check_shape
from tidegate.nn.stream_parts import LayerPart

#: The state of a model: that of its recurrent module, or a list of one for each module if it has several.
ModelState = State | list[State]


class Modules:
    """The states of the recurrent modules of a model.

    `arrays` has, for every layer, its states (B, columns); those of one module are next to each other.
    """

    def __init__(self, layers: Sequence[LayerPart], arrays: Sequence[tuple[np.ndarray, ...]]):
        self.layers, self.arrays = tuple(layers), tuple(arrays)

    def reset(self, mask: np.ndarray | None) -> None:
        """Zeros in all sessions, or in those where mask (B,) is true."""
        for states in self.arrays:
            for s in states:
                s[... if mask is None else mask] = 0

    def copy_from(self, other: Modules) -> None:
        for own, theirs in zip(self.arrays, other.arrays):
            for s, t in zip(own, theirs):
                s[...] = t

    def named(self) -> dict[str, np.ndarray]:
        """The arrays by the number of the layer and the name of the state, such as "0.h"."""
        return {
            f"{i}.{name}": s
            for i, (part, states) in enumerate(zip(self.layers, self.arrays))
            for name, s in zip(part.step.state, states)
        }

    def get(self) -> ModelState:
        """Copies, in the form of a layer's `hx`."""
        found: list[State] = []
        for first, last in self._modules():
            tensors = tuple(torch.from_numpy(np.stack(same)) for same in zip(*self.arrays[first:last]))
            if self.layers[first].single:
                tensors = tuple(t.squeeze(0) for t in tensors)
            found.append(tensors[0] if len(tensors) == 1 else tensors)
        return found[0] if len(found) == 1 else found

    def set(self, given: Any) -> None:
        """Copy states of the form that `get` returns; nothing changes if one of them does not fit."""
        modules = self._modules()
        if len(modules) == 1:
            given = [given]
        elif not isinstance(given, list) or len(given) != len(modules):
            got = f"a list of {len(given)}" if isinstance(given, list) else type(given).__name__
            raise StateError(
                f"`state` must be a list of {len(modules)} states, one for each recurrent module, got {got}. "
                "Use the form of stream.state."
            )
        checked = [self._checked(first, last, state) for (first, last), state in zip(modules, given)]
        for (first, last), tensors in zip(modules, checked):
            for own, *new in zip(self.arrays[first:last], *tensors):
                for s, t in zip(own, new):
                    s[...] = t.detach().resolve_neg().numpy()

    def _modules(self) -> list[tuple[int, int]]:
        """The first layer of every module, and the layer after its last one."""
        numbers = [part.module for part in self.layers]
        starts = [i for i in range(len(numbers)) if i == 0 or numbers[i] != numbers[i - 1]]
        return list(zip(starts, [*starts[1:], len(numbers)]))

    def _checked(self, first: int, last: int, given: Any) -> tuple[Tensor, ...]:
        """One tensor (layers, B, columns) for each state of a module."""
        part = self.layers[first]
        names = [f"{s}_0" for s in part.step.state]
        tensors = check_kind(part.step.name, given, names)
        for name, tensor, array in zip(names, tensors, self.arrays[first]):
            if not part.single:
                check_shape(name, tensor, (last - first, *array.shape))
            elif tuple(tensor.shape) != array.shape:
                raise ShapeError(
                    f"`{name}` must have shape (B, H) = {array.shape}, got {tuple(tensor.shape)}. "
                    f"Use torch.zeros{array.shape}."
                )
            check_like(name, tensor, part.weights.w_hh)
        return tuple(t.unsqueeze(0) if part.single else t for t in tensors)


def as_mask(mask: Any, batch: int) -> np.ndarray:
    """A mask of sessions (B,) of bool, from NumPy, torch or a list."""
    found = np.asarray(mask)
    if found.dtype != np.bool_:
        raise ArgumentTypeError(
            f"`mask` must be booleans, one for each session, got {found.dtype.name}. Use mask != 0, or None for all."
        )
    if found.shape != (batch,):
        raise ShapeError(f"`mask` must have shape (B,) = ({batch},), got {found.shape}. Use None for all sessions.")
    return found
