"""Sentences on gates."""

import numpy as np

from tidegate.insight.gates import Gates
from tidegate.insight.sentences.base import named, percent, sentence, steps


@sentence.register
def _(figure: Gates) -> str:
    found = [
        f"{named('Gate', name)} is closed (below 0.1) in {percent(float(figure.closed[name].mean()))} of its values "
        f"and open (above 0.9) in {percent(float(figure.open[name].mean()))}."
        for name in figure.closed
    ]
    found += [
        f"{named('Gate', name)} is saturated (above 0.97 or below -0.97) in "
        f"{percent(float(figure.saturated[name].mean()))} of its values."
        for name in figure.saturated
    ]
    found += [
        f"Along the direct path alone, {named('state', name)} has a median time constant of "
        f"{steps(float(np.median(tau)), figure.tokens_are)}; the longest is "
        f"{steps(float(tau.max()), figure.tokens_are)}."
        for name, tau in figure.time_constant.items()
    ]
    dead = [
        f"{len(units)} of {len(figure.state_sd[name])} units of {named('state', name)} are dead: they hardly change."
        for name, units in figure.dead.items()
        if len(units)
    ]
    return " ".join([*found, *(dead or ["No unit is dead (nearly constant)."])])
