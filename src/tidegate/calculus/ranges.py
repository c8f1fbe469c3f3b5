"""The interval in which the values of an expression lie, from the ranges of its operations."""

import math
from functools import cache

from tidegate.calculus import operations
from tidegate.calculus.derivative import product, signed_factors
from tidegate.calculus.expression import Expression, definition_of, subgraph
from tidegate.calculus.operations import EVERYTHING, Range


def range_of(e: Expression) -> Range:
    """(low, high) with low <= e <= high for all inputs; not always the tightest."""
    for node in subgraph([e]):
        range_of_node(node)  # from the leaves up, so that no call goes deeper than one operation
    return range_of_node(e)


@cache
def range_of_node(e: Expression) -> Range:
    if e.value is not None:
        return e.value, e.value
    if e.op == "mul":
        known, rest = split_by_range(e)
        if rest is not None:
            return EVERYTHING
        sign, factors = signed_factors(e, ())
        low = 0.0 if all(range_of_node(f)[0] >= 0 or factors.count(f) % 2 == 0 for f in factors) else -known
        return (low, known) if sign > 0 else (-known, -low)
    if e.op == "leaf":
        return EVERYTHING
    operation = operations.find(e.op)
    if operation.range is not None:
        return operation.range(*(range_of_node(arg) for arg in e.args))
    return EVERYTHING if operation.definition is None else range_of(definition_of(e.op, e.args))


def largest(e: Expression) -> float:
    """A bound of |e|, infinite if none is known."""
    known, rest = split_by_range(e)
    return known if rest is None else math.inf


def split_by_range(e: Expression) -> tuple[float, Expression | None]:
    """|e| <= bound * |rest|: the factors whose range is known, and the product of the others (None if there are none).

    y (1 - y) of a sigmoid y counts as one factor, at most 1/4.
    """
    if e.op != "mul":
        low, high = range_of_node(e)
        bound = max(-low, high)
        return (bound, None) if math.isfinite(bound) else (1.0, e)
    _, factors = signed_factors(e, ())
    if factors == [e]:  # a product of more factors than are split
        return 1.0, e
    bound, unknown = 1.0, []
    waiting = list(factors)
    while waiting:
        factor = waiting.pop(0)
        partner = next((f for f in waiting if is_complement(factor, f) or is_complement(f, factor)), None)
        if partner is not None:
            waiting.remove(partner)
            bound *= 0.25
            continue
        low, high = range_of_node(factor)
        if math.isfinite(max(-low, high)):
            bound *= max(-low, high)
        else:
            unknown.append(factor)
    return bound, product(unknown) if unknown else None


def is_complement(y: Expression, other: Expression) -> bool:
    """Whether y is a sigmoid and `other` is 1 - y."""
    return y.op == "sigmoid" and other is 1 - y
