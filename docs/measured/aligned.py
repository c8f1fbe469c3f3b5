"""The gates of trained and untrained networks, aligned at the events of a situation."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from measured.situations import SITUATIONS, Situation
from measured.training import network, score, traced, trained, unseen
from tidegate.cells import GRU, Cell
from tidegate.comparing.network import Network

LR = 5e-3
FEW = 0.01  # of all values: a group with fewer is not shown, nor one without fewer others
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Trained:
    before: Network
    after: Network


@cache
def networks(name: str, seeds: tuple[int, ...], cell: type[Cell] = GRU) -> tuple[Trained, ...]:
    """The networks of a situation before and after they are trained, one for each seed."""
    situation = SITUATIONS[name]
    return tuple(
        Trained(network(situation.task, cell, seed), trained(situation.task, cell, seed, steps=situation.steps, lr=LR))
        for seed in seeds
    )


@cache
def aligned(name: str, net: Network, gate: str) -> NDArray[np.float32]:
    """(events, H, before + 1 + after): a gate around every event of unseen sequences."""
    situation = SITUATIONS[name]
    batch = unseen(situation.task)
    values = traced(net, batch)[gate].numpy()
    around = [values[t - situation.before : t + situation.after + 1, b] for t, b in situation.windows(batch)]
    return np.stack(around).transpose(0, 2, 1)


def copied(name: str, net: Network) -> Mask:
    """(events, H): whether more than half of the value that a unit has after the event is still there at the end of the
    window by the direct path alone: whether the product of z over the steps after the event is above 1/2."""
    return aligned(name, net, "z")[..., SITUATIONS[name].before + 1 :].prod(-1) > 0.5


def groups(name: str, nets: Sequence[Trained]) -> dict[str, list[tuple[Network, Mask]]]:
    """The values of units at events: all, those that are copied, the others, and all of untrained networks."""
    split = [copied(name, net.after) for net in nets]
    share = float(np.mean([copies.mean() for copies in split]))
    found = {"trained, all": [(net.after, np.ones_like(copies)) for net, copies in zip(nets, split)]}
    if FEW <= share <= 1 - FEW:
        found["trained, copied"] = [(net.after, copies) for net, copies in zip(nets, split)]
        found["trained, recomputed"] = [(net.after, ~copies) for net, copies in zip(nets, split)]
    found["untrained, all"] = [(net.before, np.ones_like(copies)) for net, copies in zip(nets, split)]
    return found


def scores(situation: Situation, nets: Sequence[Network]) -> list[float]:
    return [score(net, situation.task, unseen(situation.task)) for net in nets]
