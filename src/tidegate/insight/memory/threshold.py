"""From a curve with standard errors to a horizon: the context length from which on the loss rises by less than eps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.insight.recording import Array


@dataclass(frozen=True)
class Horizon:
    """The context that a model uses, for a limit of `eps` nats and the curve named `curve` ("zero" or "donor").

    tokens: the least measured n such that the upper end of the 95 % interval of Delta is below eps at n and at all
    longer lengths; None if there is none, and then `reason` is "longer" or "cannot tell".
    estimate, low: the same with Delta itself and with the lower end of the interval, so that the horizon lies between
    `low` and `tokens`; None if not even the longest length meets the condition.
    """

    curve: str
    eps: float
    tokens: int | None
    estimate: int | None
    low: int | None
    reason: str


def horizon(curve: str, lengths: NDArray[np.int64], delta: Array, error: Array, bound: float, eps: float) -> Horizon:
    """The horizon of Delta(n) `delta` (N,), with standard errors `error` (N,); interval ends `bound` errors away.

    If the longest n does not meet the condition, `reason` is "longer" where Delta is eps or more and its standard error
    at most eps / 2; otherwise, and where the interval of the horizon is the whole range of lengths, the data do not
    decide it, and `reason` is "cannot tell".
    """
    tokens, estimate, low = (
        stays_below(lengths, values, eps) for values in (delta + bound * error, delta, delta - bound * error)
    )
    reason = ""
    if low == lengths[0] < lengths[-1] == tokens:  # the interval is the whole range
        tokens, reason = None, "cannot tell"
    elif tokens is None:
        reason = "longer" if delta[-1] >= eps and error[-1] <= eps / 2 else "cannot tell"
    return Horizon(curve, eps, tokens, estimate, low, reason)


def stays_below(lengths: NDArray[np.int64], values: Array, eps: float) -> int | None:
    """The least length from which on all values are below eps; None if the last one is not."""
    above = np.flatnonzero(values >= eps)
    first = above[-1] + 1 if len(above) else 0
    return int(lengths[first]) if first < len(lengths) else None


def smallest(horizons: Sequence[Horizon], eps: float) -> Horizon:
    """The horizon at `eps` of the curve that has the smallest; of the first curve where none is known.

    Each curve adds something to the missing context, the zero state or an unrelated one, so that each horizon is an
    upper bound of the context that the model uses.
    """
    at = [found for found in horizons if found.eps == eps]
    known = [found for found in at if found.tokens is not None]
    return min(known, key=lambda found: found.tokens or 0) if known else at[0]
