"""Plots of gradients through time."""

import numpy as np
from matplotlib.axes import Axes

from tidegate.insight.gradients.connectivity import Connectivity
from tidegate.insight.gradients.jacobian import Jacobians
from tidegate.insight.gradients.lag import GradientLag
from tidegate.insight.gradients.lyapunov import Lyapunov
from tidegate.insight.plots.base import BLUE, COLOURS, GREY, plot


@plot.register
def _(figure: GradientLag, axes: Axes) -> None:
    names = [name for name in figure.log10_mean if name != "all"]
    for name, colour in zip(names if len(names) > 1 else ["all"], COLOURS * len(names)):
        low, _, high = figure.log10_quantiles[name]
        axes.fill_between(figure.lags, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(figure.lags, figure.log10_mean[name], color=colour, label=name)
    axes.axhline(figure.log10_mean["all"][0] - 2, color=GREY, linestyle="--", linewidth=1, label="1 % of lag 0")
    axes.set(xlabel="lag k (steps)", ylabel="log10 of the gradient's norm", title="Gradient against lag")
    axes.legend(frameon=False)


@plot.register
def _(figure: Jacobians, axes: Axes) -> None:
    axes.plot(figure.lags, figure.log10_product.T, color=BLUE, alpha=0.4)
    axes.set_xscale("log", base=2)
    axes.axhline(0, color=GREY, linestyle="--", linewidth=1)
    axes.set(xlabel="steps k", ylabel="log10 of the largest singular value", title="Products of k step Jacobians")


@plot.register
def _(figure: Lyapunov, axes: Axes) -> None:
    number = np.arange(1, len(figure.exponents) + 1)
    error = np.nan_to_num(2 * figure.standard_error)
    axes.errorbar(number, figure.exponents, error, color=BLUE, marker="o", markersize=4, linewidth=1)
    axes.axhline(0, color=GREY, linestyle="--", linewidth=1)
    axes.set(xlabel="index", ylabel="nats per step (± 2 standard errors)", title="Lyapunov exponents")


@plot.register
def _(figure: Connectivity, axes: Axes) -> None:
    axes.bar(figure.lags, figure.share, color=BLUE, width=0.9)
    axes.set(
        xlabel="lag k (steps)", ylabel="share of the dependence", title="Dependence of a prediction on past inputs"
    )
