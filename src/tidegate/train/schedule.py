"""The learning rate over a run."""

import math

WARM_UP = 0.02  # share of the run over which the cosine schedule rises to its peak
FLOOR = 0.02  # the cosine schedule ends at this share of its peak


def rate(schedule: str, peak: float, progress: float) -> float:
    """The learning rate when `progress`, from 0 to 1, of the run is done.

    constant: peak. cosine: a linear rise over the first 2 % of the run, then
    peak (floor + (1 - floor) (1 + cos(pi p)) / 2) with p from 0 to 1 over the rest.
    """
    if schedule == "constant":
        return peak
    if progress < WARM_UP:
        return peak * max(progress / WARM_UP, FLOOR)
    p = min(1.0, (progress - WARM_UP) / (1 - WARM_UP))
    return peak * (FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * p)) / 2)
