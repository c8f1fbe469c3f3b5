"""A comparison as a matplotlib plot: the learning curve of each arm."""

from matplotlib.axes import Axes

from tidegate.comparing.comparison import Comparison
from tidegate.insight.plots.base import COLOURS, plot


@plot.register
def plot_comparison(figure: Comparison, axes: Axes) -> None:
    """The median score at each evaluation, a band between the quartiles, and the score of a guess as a dotted line."""
    for k, arm in enumerate(figure.arms):
        steps, colour = arm.summary.curve_steps, COLOURS[k % len(COLOURS)]
        low, median, high = arm.summary.curve.T
        axes.plot(steps, median, color=colour, label=arm.label, linestyle=("-", "--", ":")[k // len(COLOURS) % 3])
        axes.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.axhline(figure.arms[0].chance, color="0.6", linewidth=1, linestyle=":")
    axes.set_xlabel("training steps")
    axes.set_ylabel(f"{figure.task['metric']} (median, quartiles)")
    axes.legend(frameon=False)
