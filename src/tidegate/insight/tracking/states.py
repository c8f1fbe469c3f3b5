"""The states of all units over passages of a text."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from tidegate.calculus import Step
from tidegate.nn.equations import step_of
from tidegate.nn.layer import CellLayer
from tidegate.nn.tracing import trace

CHUNK = 128  # steps traced at once: limits the memory for gates


@dataclass(frozen=True)
class Network:
    """A language model in float32: the recurrent layers, and the linear layer that gives the scores."""

    layer: CellLayer
    head: nn.Linear

    @classmethod
    def of(cls, layer: CellLayer, head: nn.Linear) -> Network:
        """A float32 copy in evaluation mode on the CPU."""
        own = [copy.deepcopy(module).to("cpu", torch.float32).eval().requires_grad_(False) for module in (layer, head)]
        own[0].engine = "auto"  # type: ignore[assignment]
        return cls(*own)  # type: ignore[arg-type]

    @property
    def step(self) -> Step:
        return step_of(self.layer)

    def columns(self) -> np.ndarray:
        """layer, state and unit, (U, 3), of each column of `unit_states`; the state as its place in `step.state`."""
        sizes = self.layer.num_layers, len(self.step.state), self.layer.hidden_size
        return np.stack([axis.ravel() for axis in np.indices(sizes)], 1)


@torch.no_grad()
def unit_states(network: Network, x: Tensor, warmup: int) -> np.ndarray:
    """Every state of every layer and unit after each token of x (T, M), from the state zero: (M, T - warmup, U),
    float32, in the order of `Network.columns`."""
    names = [f"{state}_l{k}" for k in range(network.layer.num_layers) for state in network.step.state]
    T, M = x.shape
    found = np.empty((M, T - warmup, len(names), network.layer.hidden_size), np.float32)
    state = None
    for begin in range(0, T, CHUNK):
        traced = trace(network.layer, x[begin : begin + CHUNK], state)
        state, end = traced.state, min(begin + CHUNK, T)
        skip = min(max(0, warmup - begin), end - begin)
        for k, name in enumerate(names):
            found[:, begin + skip - warmup : end - warmup, k] = traced[name][skip:].transpose(0, 1).numpy()
    return found.reshape(M, T - warmup, -1)
