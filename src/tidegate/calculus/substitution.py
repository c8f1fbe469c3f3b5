"""Substitution: an expression with parts of it replaced, and simplified as it is built again."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from tidegate.calculus import operations
from tidegate.calculus.expression import Expression, apply, constant, evaluate, subgraph


def substitute(roots: Sequence[Expression], values: Mapping[Expression, Expression | float]) -> list[Expression]:
    """`roots` with every part that is in `values` replaced; 0 and 1 and operations of numbers are simplified.

    A value replaces a whole part: a gate's expression may be replaced by 1 wherever it occurs.
    """
    given = {e: constant(v) if isinstance(v, (int, float)) else v for e, v in values.items()}
    leaves = {e: e for e in subgraph(roots) if e.op == "leaf"}
    symbolic: dict[str, Callable[..., Expression]] = {name: partial(apply, name) for name in operations.OPERATIONS}
    return evaluate(roots, leaves | given, {"constant": constant, **symbolic})


def lower(roots: Sequence[Expression]) -> list[Expression]:
    """`roots` in terms of primitive operations alone: every operation that has a definition replaced by it."""
    leaves = {e: e for e in subgraph(roots) if e.op == "leaf"}
    primitives = [o.name for o in operations.OPERATIONS.values() if o.definition is None]
    return evaluate(roots, leaves, {"constant": constant, **{name: partial(apply, name) for name in primitives}})
