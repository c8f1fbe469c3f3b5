"""The results as matplotlib plots: `draw(figure, axes)`."""

from tidegate.insight.plots import gates, gradients, horizon, units  # noqa: F401, each registers its plots
from tidegate.insight.plots.base import as_html, draw

__all__ = ["as_html", "draw"]
