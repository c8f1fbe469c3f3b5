"""Between which numbers an expression lies, from the ranges of sigmoid and tanh."""

import math
from functools import cache

from tidegate.calculus.derivative import product, signed_factors
from tidegate.calculus.expression import Expression

Range = tuple[float, float]
EVERYTHING: Range = (-math.inf, math.inf)


@cache
def range_of(e: Expression) -> Range:
    """(low, high) with low <= e <= high for all inputs; not always the tightest."""
    if e.value is not None:
        return e.value, e.value
    if e.op in ("sigmoid", "step"):
        return 0.0, 1.0
    if e.op in ("tanh", "sign"):
        return -1.0, 1.0
    if e.op in ("leaf", "log", "log1p", "div"):
        return EVERYTHING
    if e.op == "mul":
        known, rest = split_by_range(e)
        if rest is None:
            sign, factors = signed_factors(e, ())
            low = 0.0 if all(range_of(f)[0] >= 0 or factors.count(f) % 2 == 0 for f in factors) else -known
            return (low, known) if sign > 0 else (-known, -low)
        return EVERYTHING
    first = range_of(e.args[0])
    match e.op:
        case "neg":
            return -first[1], -first[0]
        case "add":
            second = range_of(e.args[1])
            return first[0] + second[0], first[1] + second[1]
        case "sub":
            second = range_of(e.args[1])
            return first[0] - second[1], first[1] - second[0]
        case "maximum":
            second = range_of(e.args[1])
            return max(first[0], second[0]), max(first[1], second[1])
        case "abs":
            return 0.0, max(-first[0], first[1])
        case "relu":
            return max(first[0], 0.0), max(first[1], 0.0)
        case "exp":
            return 0.0, math.exp(first[1]) if first[1] < 700 else math.inf
    return (0.0, math.inf) if e.op == "sqrt" else EVERYTHING


def largest(e: Expression) -> float:
    """A bound of |e|, infinite if none is known."""
    known, rest = split_by_range(e)
    return known if rest is None else math.inf


def split_by_range(e: Expression) -> tuple[float, Expression | None]:
    """|e| <= bound * |rest|: the factors whose range is known, and the product of the others (None if there are none).

    y (1 - y) of a sigmoid y counts as one factor, at most 1/4.
    """
    if e.op != "mul":
        low, high = range_of(e)
        bound = max(-low, high)
        return (bound, None) if math.isfinite(bound) else (1.0, e)
    _, factors = signed_factors(e, ())
    bound, unknown = 1.0, []
    waiting = list(factors)
    while waiting:
        factor = waiting.pop(0)
        partner = next((f for f in waiting if is_complement(factor, f) or is_complement(f, factor)), None)
        if partner is not None:
            waiting.remove(partner)
            bound *= 0.25
            continue
        low, high = range_of(factor)
        if math.isfinite(max(-low, high)):
            bound *= max(-low, high)
        else:
            unknown.append(factor)
    return bound, product(unknown) if unknown else None


def is_complement(y: Expression, other: Expression) -> bool:
    """Whether y is a sigmoid and `other` is 1 - y."""
    return y.op == "sigmoid" and other is 1 - y
