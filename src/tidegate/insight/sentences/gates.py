"""Sentences on gates."""

import numpy as np

from tidegate.insight.gates import Gates
from tidegate.insight.sentences.base import percent, sentence, steps


@sentence.register
def _(figure: Gates) -> str:
    shares = [
        f"{name} is closed (below 0.1) in {percent(float(figure.closed[name].mean()))} and open (above 0.9) in "
        f"{percent(float(figure.open[name].mean()))} of its values"
        for name in figure.closed
    ]
    shares += [
        f"{name} is saturated (beyond ±0.97) in {percent(float(figure.saturated[name].mean()))}"
        for name in figure.saturated
    ]
    kept = [
        f"the direct path keeps {name} for {steps(float(np.median(tau)))} (median unit) to {steps(float(tau.max()))}"
        for name, tau in figure.time_constant.items()
    ]
    dead = [f"{len(units)} of {len(figure.state_sd[name])} units of {name} never change" for name, units in
            figure.dead.items() if len(units)]  # fmt: skip
    return "Gates: " + "; ".join([*shares, *kept, *(dead or ["no unit is dead"])]) + "."
