"""The loss of a language model while some of its units are held at other values.

All variants of the model are rows of one batch, which is computed step by step. A variant is a tuple of the held units,
each as (layer, unit).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from tidegate.engines import Call, choose
from tidegate.insight.tracking.states import Network
from tidegate.nn.stack import read_weights

Variant = tuple[tuple[int, int], ...]
Places = tuple[np.ndarray, np.ndarray]  # rows, units

ROWS = 2048  # rows of a batch
SCORES = 2**23  # entries of a tensor of scores: limits the memory, does not change the result


@torch.no_grad()
def held_losses(
    network: Network, x: Tensor, y: Tensor, variants: Sequence[Variant], values: np.ndarray, steps: range
) -> np.ndarray:
    """The loss in nats of the targets y[steps] after the inputs x (T, R), from the state zero: (V, len(steps), R),
    float32.

    values (layers, states, H): the values to which the states of a held unit are set after each step, before the layer
    above, the scores and the next step read them; (T, R, layers, states, H) for different values at each step and row.
    The variant () holds no unit.
    """
    T, R = x.shape
    at_once = max(1, min(ROWS, SCORES // network.head.out_features) // R)
    found = np.empty((len(variants), len(steps), R), np.float32)
    every = np.broadcast_to(values, (T, R, *values.shape[-3:]))
    for begin in range(0, len(variants), at_once):
        some = variants[begin : begin + at_once]
        found[begin : begin + len(some)] = walk(network, x, y, some, every, steps)
    return found


def walk(
    network: Network, x: Tensor, y: Tensor, variants: Sequence[Variant], values: np.ndarray, steps: range
) -> np.ndarray:
    """`held_losses` of variants that fit into one batch."""
    (T, R), V = x.shape, len(variants)
    layers, step = network.layer.num_layers, network.step
    weights, rows_of_input = list(read_weights(network.layer)), torch.arange(R).repeat(V)[None]
    first = weights[0]
    places = [held_places(variants, k, R) for k in range(layers)]
    states = [(torch.zeros(V * R, network.layer.hidden_size),) * len(step.state)] * layers
    found = torch.empty(len(steps), V * R)
    for t in range(T):
        below = rows_of_input
        # only the columns of W for the R tokens of this step, because an engine may repack the whole W at each call
        weights[0] = dataclasses.replace(first, w_ih=first.w_ih[:, x[t]])
        for k in range(layers):
            states[k] = choose.dispatch(Call(step, below, states[k], weights[k])).states
            rows, units = places[k]
            if len(rows):
                states[k] = replaced(states[k], places[k], values[t, rows % R, k, :, units])
            below = states[k][0][None]
        if t in steps:
            found[steps.index(t)] = cross_entropy(network.head(below[0]), y[t].repeat(V), reduction="none")
    return found.reshape(len(steps), V, R).transpose(0, 1).numpy()


def replaced(states: tuple[Tensor, ...], places: Places, values: np.ndarray) -> tuple[Tensor, ...]:
    """Copies of the states (rows, H) with values (places, states) at the places. In NumPy, because torch would start
    all of its threads for these few numbers."""
    found = tuple([state.numpy().copy() for state in states])
    for s, state in enumerate(found):
        state[places] = values[:, s]
    return tuple(map(torch.from_numpy, found))


def held_places(variants: Sequence[Variant], layer: int, R: int) -> Places:
    """The rows and the units of one layer that are held; variant v has the rows v R to v R + R - 1."""
    pairs = [
        (v * R + row, unit)
        for v, variant in enumerate(variants)
        for k, unit in variant
        if k == layer
        for row in range(R)
    ]
    rows, units = np.array(pairs, np.int64).reshape(-1, 2).T
    return rows, units


@torch.no_grad()
def readout_extra(
    network: Network, x: Tensor, y: Tensor, units: Sequence[int], values: np.ndarray, steps: range
) -> np.ndarray:
    """The extra loss, (len(units), len(steps), R), if units of the last layer are held only for the scores, so that all
    states are those of the unchanged model."""
    outputs = network.layer(x)[0][list(steps)]
    scores, targets = network.head(outputs).flatten(0, 1), y[list(steps)].flatten()
    W, h = network.head.weight, outputs.flatten(0, 1)
    base = cross_entropy(scores, targets, reduction="none")
    found = np.empty((len(units), *outputs.shape[:2]), np.float32)
    for k, j in enumerate(units):
        changed = scores + (float(values[-1, 0, j]) - h[:, j, None]) * W[:, j]
        found[k] = (cross_entropy(changed, targets, reduction="none") - base).reshape(found.shape[1:]).numpy()
    return found
