"""Plots of predictions."""

import numpy as np
from matplotlib.axes import Axes

from tidegate.insight.plots.base import BLUE, GREY, plot
from tidegate.insight.predictions import Predictions


@plot.register
def _(figure: Predictions, axes: Axes) -> None:
    """The loss of each token if there is one sequence; otherwise only the mean loss."""
    if figure.loss is not None:
        axes.bar(np.arange(len(figure.loss)) + 1, figure.loss, color=BLUE, width=1.0)
    axes.axhline(figure.nats, color=GREY, linestyle="--", linewidth=1, label=f"mean {figure.nats:.3f}")
    axes.set(xlabel="token", ylabel="loss in nats", title="Loss of each token")
    axes.legend(frameon=False)
