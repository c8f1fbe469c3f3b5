"""Sentences on gradients through time: against the lag, step Jacobians, Lyapunov exponents, connectivity."""

import math

import numpy as np

from tidegate.insight.gradients.connectivity import Connectivity
from tidegate.insight.gradients.jacobian import Jacobians
from tidegate.insight.gradients.lag import GradientLag
from tidegate.insight.gradients.lyapunov import Lyapunov
from tidegate.insight.sentences.base import percent, sentence, steps


@sentence.register
def _(figure: GradientLag) -> str:
    K = int(figure.lags[-1])
    of = "one prediction's loss" if figure.of_loss else "the output"
    if figure.beyond:
        far = f"still above 1 % of its first value after {K} steps, the longest lag measured"
    else:
        far = f"below 1 % of its first value from {steps(figure.horizon + 1)} back"
    return (
        f"The gradient of {of} with respect to the state is {far}; between lags {K // 4} and {K} it changes by a "
        f"factor of {figure.gain:.3f} per step (mean of {figure.anchors} losses)."
    )


@sentence.register
def _(figure: Jacobians) -> str:
    sigma, last = figure.sigma_max, figure.log10_product[:, -1]
    last = last[~np.isnan(last)]
    found = (
        f"One step multiplies a small change of the state by at most {sigma.min():.2f} to {sigma.max():.2f} (largest "
        f"singular value at {len(sigma)} steps; spectral radius {figure.spectral_radius.min():.2f} to "
        f"{figure.spectral_radius.max():.2f})"
    )
    if not len(last) or figure.lags[-1] == 1:
        return found + "."
    middle = float(np.median(last))
    times = f"{10**middle:.2g}" if abs(middle) < 4 else f"10^{middle:.1f}"
    return f"{found}, {figure.lags[-1]} steps by {times} (median)."


@sentence.register
def _(figure: Lyapunov) -> str:
    top, error = float(figure.exponents[0]), float(figure.standard_error[0])
    known = (
        f" ± {error:.4f} (standard error)" if math.isfinite(error) else ", of one block, so without a standard error"
    )
    text = f"The largest Lyapunov exponent is {top:.4f}{known} nats per step: "
    if math.isfinite(error) and abs(top) < 2 * error:
        text += "it cannot be told from 0, so small changes of the state neither decay nor grow measurably."
    elif top < 0:
        text += f"small changes of the state decay by a factor e every {steps(figure.time_constant)}."
    else:
        text += "small changes of the state grow, so it is chaotic."
    if figure.floored[0] == 1:
        text = "Every step maps all small changes of the state to zero: there is no finite Lyapunov exponent."
    elif abs(figure.halves[0, 0] - figure.halves[1, 0]) > 6 * error:
        text += " The two halves of the sequences differ by more than that: use longer ones."
    return text


@sentence.register
def _(figure: Connectivity) -> str:
    half = int(np.searchsorted(np.cumsum(figure.share), 0.5))
    what = "the score of a predicted token" if figure.of_loss else "the output"
    return (
        f"Half of the dependence of {what} on its past is on the last {steps(half + 1)}, {percent(figure.share[0])} on "
        f"the last one alone; the mean lag is {figure.center:.1f} (of {figure.lags[-1]} measured)."
    )
