"""Sentences on gradients through time: against the lag, step Jacobians, Lyapunov exponents, connectivity."""

import math

import numpy as np

from tidegate.insight.gradients.connectivity import Connectivity
from tidegate.insight.gradients.jacobian import Jacobians
from tidegate.insight.gradients.lag import GradientLag
from tidegate.insight.gradients.lyapunov import Lyapunov
from tidegate.insight.sentences.base import percent, sentence, step_name, steps, token_name


@sentence.register
def _(figure: GradientLag) -> str:
    K = int(figure.lags[-1])
    of, many = ("the loss of one prediction", "losses") if figure.of_loss else ("the output", "outputs")
    if figure.beyond:
        far = f"still above 1 % of its value at lag 0 at a lag of {steps(K, figure.tokens_are)}, the longest measured"
    else:
        far = f"below 1 % of its value at lag 0 from {steps(figure.horizon + 1, figure.tokens_are)} back on"
    return (
        f"The gradient of {of} with respect to the state is {far}. Between lags {K // 4} and {K} it changes by a "
        f"factor of {figure.gain:.3f} per {step_name(figure.tokens_are)} (mean of {figure.anchors} {many}; the median "
        f"of the lags up to which one of them stays above 1 % is {figure.median_horizon})."
    )


@sentence.register
def _(figure: Jacobians) -> str:
    sigma, last = figure.sigma_max, figure.log10_product[:, -1]
    last = last[~np.isnan(last)]
    found = (
        f"One step multiplies a small change of the state by at most {sigma.min():.2f} to {sigma.max():.2f} (the "
        f"largest singular value of the Jacobian, at {len(sigma)} steps; its spectral radius is "
        f"{figure.spectral_radius.min():.2f} to {figure.spectral_radius.max():.2f})"
    )
    if not len(last) or figure.lags[-1] == 1:
        return found + "."
    middle = float(np.median(last))
    if not math.isfinite(middle):
        return f"{found}; {figure.lags[-1]} steps remove it completely (in half of the cases or more)."
    times = f"{10**middle:.2g}" if abs(middle) < 4 else f"10^{middle:.1f}"
    return f"{found}; {figure.lags[-1]} steps multiply it by at most {times} (median)."


@sentence.register
def _(figure: Lyapunov) -> str:
    top, error = float(figure.exponents[0]), float(figure.standard_error[0])
    known = (
        f"standard error {error:.4f}"
        if math.isfinite(error)
        else "standard error not known, because there is only one block"
    )
    per = step_name(figure.tokens_are)
    text = f"The largest Lyapunov exponent is {top:.4f} nats per {per} ({known}): "
    if math.isfinite(error) and abs(top) < 2 * error:
        text += (
            "it does not differ significantly from 0, so small changes of the state neither decay nor grow measurably."
        )
    elif top < 0:
        text += (
            f"small changes of the state decay by a factor of e every {steps(figure.time_constant, figure.tokens_are)}."
        )
    else:
        text += "small changes of the state grow, so the network is chaotic."
    if figure.floored[0] > 0:
        return (
            f"In {percent(float(figure.floored[0]))} of the steps the Jacobian is zero to rounding: small changes of "
            "the state are lost at once, and there is no finite Lyapunov exponent."
        )
    if top < -1:
        text = (
            f"The largest Lyapunov exponent is {top:.3g} nats per {per} ({known}): a small change of the state is lost "
            f"within one {per}."
        )
    if abs(figure.halves[0, 0] - figure.halves[1, 0]) > 6 * error:
        text += (
            " The exponents of the two halves of the sequences differ by more than 6 standard errors: use longer "
            "sequences."
        )
    return text


@sentence.register
def _(figure: Connectivity) -> str:
    half = int(np.searchsorted(np.cumsum(figure.share), 0.5))
    kind = figure.tokens_are
    what = f"the score of a predicted {token_name(kind)}" if figure.of_loss else "the output"
    last = f"last {steps(half + 1, kind)} account{'s' * (half == 0)} for at least half"
    return (
        f"The {last} of the dependence of {what} on its past, the last one alone for {percent(figure.share[0])}. The "
        f"mean lag is {figure.center:.1f} (lags up to {figure.lags[-1]} were measured; lag 0 is the last "
        f"{step_name(kind)})."
    )
