"""The section on gates: how often each is closed or open, and how long units keep their state."""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.report.figures import Axis, Plot, Role, Series
from tidegate.report.inspection.run import Run, answers, split
from tidegate.report.page import Markup, Section

COLOURS: tuple[Role, ...] = ("first", "heldout", "second", "train", "baseline", "ink")


def gates(runs: Sequence[Run]) -> Section | None:
    measured = [run for run in runs if "gates" in run.figures]
    if not measured:
        return None
    token, parts = measured[0].token, []
    kept = [plot for run in measured for plot in time_constants(run)]
    if kept:
        said = "Each dot is the time constant of one unit along the direct path."
        y = Axis(f"time constant in {token}s", "log")
        caption = "Time constant of each unit"
        parts.append(Plot("time-constants", said, Axis("units, longest time constant first"), y, kept, caption=caption))
    for run in measured:
        shares = list(closed_and_open(run))
        if shares:
            said = f"{run.name}: each dot is one gate of one unit."
            x, y = (
                Axis("share of time closed (below 0.1)", range=(0, 1)),
                Axis("share of time open (above 0.9)", range=(0, 1)),
            )
            caption = f"{run.name}: how often the gates of each unit are closed and open"
            parts.append(Plot(f"saturation-{run.number}", said, x, y, shares, caption=caption))
    parts += [Markup(f'<figure data-heatmap="{run.number}"></figure>') for run in measured]
    return Section(
        "gates",
        "How long do the gates keep the state?",
        answers(runs, "gates"),
        parts,
        [
            "A gate is a number between 0 and 1 that multiplies another value: 0 removes it, 1 leaves it unchanged. "
            f"The time constant of a unit is the number of {token}s after which 37 % of its state would be left "
            "without new input. It describes the direct path from a state of a unit to its next state alone, without "
            "the recurrent matrices.",
            "Gates of units at the right of the second figure are mostly closed, at the top mostly open; in both "
            "corners they hardly react to the text. In the coloured map each row is a unit, the longest time constants "
            f"at the top, and each column a {token} of the passage; the two lines mark the cursor and the chosen unit.",
        ],
    )


def time_constants(run: Run) -> list[Series]:
    """The time constants of each state in decreasing order; a point is a unit."""
    found, several = [], len(run.figures["gates"]["time_constant"]) > 1
    for k, (traced, values) in enumerate(run.figures["gates"]["time_constant"].items()):
        name, layer = split(traced)
        known = {unit: value for unit, value in enumerate(values) if value is not None and value > 0}
        order = sorted(known, key=lambda unit: -known[unit])
        label = run.name + (f", state {name}" + f" of layer {layer}" * (run.layers > 1) if several else "")
        found.append(Series(
            label, run.role, list(range(1, len(order) + 1)), [known[unit] for unit in order], line=False, points=True,
            units=order, run=run.number, layer=layer, name=name, dashed=k > 0,
        ))  # fmt: skip
    return found


def closed_and_open(run: Run) -> list[Series]:
    figure, found = run.figures["gates"], []
    for k, traced in enumerate(figure["closed"]):
        name, layer = split(traced)
        label = f"gate {name}" + (f" of layer {layer}" if run.layers > 1 else "")
        found.append(Series(
            label, COLOURS[k % len(COLOURS)], figure["closed"][traced], figure["open"][traced], line=False, points=True,
            units=list(range(len(figure["closed"][traced]))), run=run.number, layer=layer, name=name,
            dashed=k >= len(COLOURS),
        ))  # fmt: skip
    return found
