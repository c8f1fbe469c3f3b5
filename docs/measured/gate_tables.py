"""Tables of docs/gates.md: gates around the events, and scores of networks whose gates are set to 0 or 1."""

import numpy as np
import torch

from measured.aligned import Trained, aligned, groups, networks, scores
from measured.imposed import impose, where
from measured.situations import SITUATIONS, Situation
from measured.tables import spread, table
from measured.training import unseen

#: What is set, by name: for each gate its value at the events and at the kept steps, None where it stays free.
IMPOSED = {
    "nothing": {},
    "z = 1 at the kept steps": {"z": (None, 1)},
    "z = 0 at the kept steps": {"z": (None, 0)},
    "r = 1 at the kept steps": {"r": (None, 1)},
    "r = 0 at the kept steps": {"r": (None, 0)},
    "z = 0 at the events": {"z": (0, None)},
    "z = 1 at the events": {"z": (1, None)},
    "r = 0 at the events": {"r": (0, None)},
    "r = 1 at the events": {"r": (1, None)},
    "r = 0 and z = 0 at the events, z = 1 at the kept steps": {"r": (0, None), "z": (0, 1)},
}


def gates_around(name: str, seeds: tuple[int, ...]) -> list[str]:
    """The mean gates before, at and after the events: the median over networks, with their range."""
    situation, rows = SITUATIONS[name], []
    before = situation.before
    times = (slice(before - 1, before), slice(before, before + 1), slice(before + 1, None))[not before :]
    for label, nets in groups(name, networks(name, seeds)).items():
        row = [label, f"{100 * np.mean([mask.mean() for _, mask in nets]):.0f} %"]
        for gate in ("z", "r"):
            found = [aligned(name, net, gate)[mask] for net, mask in nets if mask.any()]
            row += [spread([float(f[:, time].mean()) for f in found]) for time in times]
        rows.append(row)
    named = ["before", "at it", "after"][not before :]
    return table(["values", "share", *(f"{gate} {time}" for gate in "zr" for time in named)], rows)


def with_gates_set(seeds: tuple[int, ...]) -> list[str]:
    """The scores of the trained networks with gates set at some steps, and of the untrained networks."""
    rows = {label: [label] for label in IMPOSED}
    untrained = ["untrained"]
    for name, situation in SITUATIONS.items():
        for label, setting in IMPOSED.items():
            rows[label].append(spread([score_with(situation, net, setting) for net in networks(name, seeds)]))
        untrained.append(spread(scores(situation, [net.before for net in networks(name, seeds)])))
    head = ["set", *(f"{name}, {situation.task.metric}" for name, situation in SITUATIONS.items())]
    return table(head, [*rows.values(), untrained])


@torch.no_grad()
def score_with(situation: Situation, net: Trained, setting: dict[str, tuple[int | None, int | None]]) -> float:
    batch, layer = unseen(situation.task), net.after.layer
    if not setting:
        return scores(situation, [net.after])[0]
    values = {}
    for gate, (at_event, at_kept) in setting.items():
        masks = ((situation.events(batch), at_event), (situation.kept(batch), at_kept))
        parts = [where(mask, value) for mask, value in masks if value is not None]
        values[gate] = torch.stack([p.nan_to_num(0) for p in parts]).sum(0)
        values[gate][torch.stack([p.isnan() for p in parts]).all(0)] = torch.nan
    layer, x = impose(layer, batch.x, values)
    return situation.task.score(net.after.head(layer(x)[0]), batch)
