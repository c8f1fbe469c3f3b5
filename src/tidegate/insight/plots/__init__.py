"""The results as matplotlib plots: `draw(figure, axes)`. Each file registers the plots of its results."""

from tidegate.insight.plots import gates, gradients, horizon, predictions, units  # noqa: F401
from tidegate.insight.plots.base import as_html, draw

__all__ = ["as_html", "draw"]
