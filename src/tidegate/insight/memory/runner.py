"""A language model run in float32 from given states, many rows at a time, without an autograd graph."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tidegate.insight.recording import Array
from tidegate.insight.subject import Subject
from tidegate.nn.layer import CellLayer
from tidegate.nn.tracing import trace

#: One tensor (layers, M, H) for each state of the cell: the states of M rows.
States = tuple[Tensor, ...]
Indices = NDArray[np.int64]

AT_ONCE = 2**22  # numbers of the largest tensor of a call: limits the memory, does not change the result
STREAMS = 32  # windows of a sequence that are read as rows of one batch


@dataclass(frozen=True)
class Runner:
    """The layers and the head of a language model, copied in float32."""

    layer: CellLayer
    head: nn.Linear

    @classmethod
    def of(cls, subject: Subject) -> Runner:
        assert subject.head is not None  # as_subject(..., language_model=True) has checked it
        return cls(copy.deepcopy(subject.layer).float(), copy.deepcopy(subject.head).float())

    @torch.no_grad()
    def read(self, x: Tensor, states: States | None = None) -> States:
        """The states after reading the tokens x (n, M), n >= 1, from `states` or zeros."""
        steps = max(1, AT_ONCE // (x.shape[1] * self.layer.hidden_size))
        for piece in x.split(steps):
            states = as_tuple(self.layer(piece, states and as_hx(states))[1])
        assert states is not None
        return states

    @torch.no_grad()
    def log_p(self, states: States) -> Tensor:
        """The logarithms of the probabilities of the next token, (M, V), in float64."""
        return self.head(states[0][-1]).double().log_softmax(-1)

    def nats(self, states: States, y: Tensor) -> Array:
        """The loss of the next tokens y (M,), in nats each."""
        rows = max(1, AT_ONCE // self.head.out_features)
        parts = zip(torch.arange(len(y)).split(rows), y.split(rows))
        found = [-self.log_p(at(states, i)).gather(1, part[:, None])[:, 0] for i, part in parts]
        return torch.cat(found).numpy()

    @torch.no_grad()
    def along(self, x: Tensor, positions: Indices, before: int) -> tuple[States, Indices]:
        """The states after x[..p] has been read, for each p of `positions`, and the number of tokens read for each.

        The sequence x (T,) is read as overlapping windows of equal length, the rows of one batch. Each state is taken
        from the earliest window that contains p: all p + 1 tokens were read before it, or more than `before` of them.
        """
        T = len(x)
        count = max(1, min(STREAMS, T // max(1, 2 * before)))
        length = min(T, -(-T // count) + before + 1)
        begins = np.linspace(0, T - length, count).astype(np.int64)
        row = np.searchsorted(begins + length, positions, side="right")
        offset = positions - begins[row]
        windows = x[torch.from_numpy(begins + np.arange(length)[:, None])]
        names = [[f"{s}_l{k}" for k in range(self.layer.num_layers)] for s in self.layer.cell.state]
        gathered: list[tuple[Indices, States]] = []
        steps = max(1, AT_ONCE // (count * self.layer.hidden_size * 4))
        states: States | None = None
        for begin in range(0, length, steps):
            traced = trace(self.layer, windows[begin : begin + steps], states and as_hx(states))
            states = as_tuple(traced.state)
            here = np.flatnonzero((offset >= begin) & (offset < begin + steps))
            t, b = torch.from_numpy(offset[here] - begin), torch.from_numpy(row[here])
            gathered.append((here, tuple(torch.stack([traced[name][t, b] for name in own]) for own in names)))
        order = torch.from_numpy(np.argsort(np.concatenate([here for here, _ in gathered])))
        return tuple(torch.cat(parts, 1)[:, order] for parts in zip(*(found for _, found in gathered))), offset + 1


def at(states: States, rows: Tensor | Indices) -> States:
    """The states of some of the rows."""
    index = torch.as_tensor(rows)
    return tuple(part[:, index] for part in states)


def as_tuple(state: Tensor | tuple[Tensor, ...]) -> States:
    return (state,) if isinstance(state, Tensor) else state


def as_hx(states: States) -> Tensor | States:
    """The states as the argument hx of a layer: a tensor if the cell has one state, otherwise a tuple."""
    return states[0] if len(states) == 1 else states


def ending_before(x: Tensor, positions: Indices, n: int) -> Tensor:
    """The n tokens before each position, (n, M): column i is x[p - n], ..., x[p - 1] with p = positions[i]."""
    return x[torch.from_numpy(positions + np.arange(-n, 0)[:, None])]
