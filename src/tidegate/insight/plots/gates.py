"""Plots of gates."""

from matplotlib.axes import Axes

from tidegate.insight.gates import Gates
from tidegate.insight.plots.base import COLOURS, GREY, plot


@plot.register
def _(figure: Gates, axes: Axes) -> None:
    """One point per unit and gate: the share of steps in which it is open against the share in which it is closed."""
    for name, colour in zip(figure.closed, COLOURS * len(figure.closed)):
        axes.scatter(figure.closed[name], figure.open[name], s=8, color=colour, alpha=0.6, label=name)
    axes.plot([0, 1], [1, 0], color=GREY, linestyle="--", linewidth=1)
    axes.set(
        xlabel="share of steps closed (below 0.1)", ylabel="share of steps open (above 0.9)", title="Gates by unit"
    )
    if figure.closed:
        axes.legend(frameon=False)
