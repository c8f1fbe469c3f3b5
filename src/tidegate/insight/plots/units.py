"""Plots of the units that track features of a text."""

from matplotlib.axes import Axes

from tidegate.insight.plots.base import BLUE, GREY, plot
from tidegate.insight.tracking.results import Units


@plot.register
def _(figure: Units, axes: Axes) -> None:
    """The effect of each confirmed unit with its 95 % interval, and the effects of the random units."""
    rows = [(own, unit) for own in figure.features for unit in own.units if unit.total is not None]
    for place, (_, unit) in enumerate(rows):
        total = unit.total
        assert total is not None
        others, effect = total.others, total.extra
        axes.plot(others, [place] * len(others), "|", color=GREY, label="random units" if not place else None)
        axes.errorbar(
            effect.difference,
            place,
            xerr=[[effect.difference - effect.low], [effect.high - effect.difference]],
            fmt="o",
            color=BLUE,
            markerfacecolor=BLUE if total.needed else "none",
            label="unit of the row, filled: needed" if not place else None,
        )
    axes.axvline(0, color=GREY, linestyle="--", linewidth=1)
    labels = [f"{own.feature}: unit {unit.unit} of layer {unit.layer}, r = {unit.r:.2f}" for own, unit in rows]
    axes.set_yticks(range(len(rows)), labels, fontsize=8)
    axes.invert_yaxis()
    axes.set(xlabel="extra loss where the feature is on, minus elsewhere (nats)", title="Units held at their mean")
    if rows:
        axes.legend(frameon=False)
