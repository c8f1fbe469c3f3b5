"""The figures of docs/gates.md: z and r around an event, with the spread over units and sequences."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from measured.aligned import aligned, groups, networks
from measured.situations import SITUATIONS

BLUE, ORANGE, GREY, GREEN = "#0072b2", "#d55e00", "0.45", "#009e73"  # distinguishable with any colour vision
LINES = {
    "trained, all": (GREEN, "-", "^"),
    "trained, copied": (BLUE, "-", "o"),
    "trained, recomputed": (ORANGE, "-", "s"),
    "untrained, all": (GREY, "--", None),
}
GATES = {"z": "update gate z", "r": "reset gate r"}


def draw(name: str, seeds: tuple[int, ...], path: Path) -> None:
    """One panel for each gate: the mean of each group of values, and a band from the 10 % to the 90 % quantile."""
    situation, found = SITUATIONS[name], groups(name, networks(name, seeds))
    figure = Figure(figsize=(11, 4), dpi=110, layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (gate, title) in zip(panels, GATES.items()):
        for label, nets in found.items():
            values = np.concatenate([aligned(name, net, gate)[mask] for net, mask in nets if mask.any()])
            banded = label != "trained, all" or "trained, copied" not in found
            line(axes, -situation.before, values, label, banded=banded)
        axes.axvline(0, color="0.85", linewidth=6, zorder=0)
        axes.set(xlabel="steps after the event", title=title, ylim=(0, 1))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("mean; band: 10 % to 90 % of the\nvalues of all units and networks")
    figure.suptitle(situation.shown)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, format="png")


def line(axes: Axes, start: int, values: NDArray[np.float32], label: str, *, banded: bool) -> None:
    """values: (n, steps)."""
    colour, style, marker = LINES[label]
    steps = np.arange(start, start + values.shape[1])
    if banded:
        axes.fill_between(steps, *np.quantile(values, (0.1, 0.9), axis=0), color=colour, alpha=0.15, linewidth=0)
    axes.plot(steps, values.mean(0), style, color=colour, marker=marker, markersize=5, label=label)
