"""Plots of the memory horizon, the swap test and the linear readout."""

from __future__ import annotations

from matplotlib.axes import Axes

from tidegate.insight.memory.horizon import MemoryHorizon
from tidegate.insight.memory.readout import Readout
from tidegate.insight.memory.swap import Swap
from tidegate.insight.plots.base import BLUE, GREY, ORANGE, plot


@plot.register
def _(figure: MemoryHorizon, axes: Axes) -> None:
    """Both losses against the context length, with 95 % intervals, and the n-gram models at their orders."""
    for name, curve, error, colour in (
        ("from the zero state", figure.zero, figure.zero_error, BLUE),
        ("from the state after another text", figure.donor, figure.donor_error, ORANGE),
    ):
        half = figure.bound * error
        axes.fill_between(figure.lengths, curve - half, curve + half, color=colour, alpha=0.2, linewidth=0)
        axes.plot(figure.lengths, curve, color=colour, marker="o", markersize=3, label=name)
    axes.axhline(figure.full, color=GREY, linestyle="--", linewidth=1, label="full context")
    if figure.orders is not None and len(figure.orders.nats) > 1:
        orders = range(1, len(figure.orders.nats))
        axes.plot(orders, figure.orders.nats[1:], color=GREY, marker="s", markersize=4, linestyle=":",
                  label="n-gram model of that order")  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set(xlabel="context (tokens)", ylabel="loss (nats per token)", title="Memory horizon")
    axes.legend(frameon=False)


@plot.register
def _(figure: Swap, axes: Axes) -> None:
    axes.errorbar(figure.lags, figure.kl, 2 * figure.kl_error, color=BLUE, marker="o", markersize=3, linewidth=1)
    axes.axhline(0.01, color=GREY, linestyle="--", linewidth=1)
    axes.set_xscale("log", base=2)
    axes.set_yscale("symlog", linthresh=1e-3)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set(xlabel="lag of the replaced token", ylabel="KL divergence (nats, ± 2 standard errors)", title="Swap test")


@plot.register
def _(figure: Readout, axes: Axes) -> None:
    low, high = figure.r2 - 2 * figure.error, figure.r2 + 2 * figure.error
    axes.fill_between(figure.lags, low, high, color=BLUE, alpha=0.2, linewidth=0)
    axes.plot(figure.lags, figure.r2, color=BLUE, label="from the state")
    axes.plot(figure.lags, figure.from_token, color=GREY, linestyle=":", label="from the last token alone")
    axes.axhline(0, color=GREY, linewidth=0.5)
    axes.set(xlabel="lag k", ylabel="R² of the token k before", title="Linear readout")
    axes.legend(frameon=False)
