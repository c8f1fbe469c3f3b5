"""`sentence(figure)`: a result in words, with its numbers and their uncertainty. One file for each kind of result."""

import math
from functools import singledispatch

from tidegate.insight.figure import Figure


@singledispatch
def sentence(figure: Figure) -> str:
    """What a figure shows, in one to three sentences."""
    raise NotImplementedError(f"no sentence is written for {type(figure).__name__}")


def steps(count: float) -> str:
    """A number of steps, with two significant digits where it is not whole."""
    if math.isinf(count):
        return "infinitely many steps"
    if count == int(count) or count >= 10:
        return f"{count:,.0f} step{'s' * (round(count) != 1)}"
    return f"{count:.2g} steps"


def percent(share: float) -> str:
    """A share as a percentage."""
    return f"{100 * share:.0f} %" if share == 0 or share >= 0.01 else f"{100 * share:.1g} %"
