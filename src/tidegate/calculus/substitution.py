"""Substitution: an expression with parts of it replaced, and simplified as it is rebuilt."""

import math
from collections.abc import Callable, Mapping, Sequence

from tidegate.calculus.expression import BINARY, UNARY, Expression, apply, constant, evaluate, subgraph

AT_NUMBERS: Mapping[str, Callable[[float], float]] = {
    "exp": math.exp,
    "tanh": math.tanh,
    "abs": abs,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "relu": lambda x: max(x, 0.0),
    "step": lambda x: float(not x <= 0),
    "sign": lambda x: float((x > 0) - (x < 0)),
}


def _rebuild(op: str) -> Callable[..., Expression]:
    def rebuild(*args: Expression) -> Expression:
        if args[0].value is not None and op in AT_NUMBERS:
            return constant(AT_NUMBERS[op](args[0].value))
        return apply(op, *args)

    return rebuild


SYMBOLIC: Mapping[str, Callable[..., Expression]] = {
    "constant": constant,
    **{op: _rebuild(op) for op in (*UNARY, *BINARY)},
}


def substitute(roots: Sequence[Expression], values: Mapping[Expression, Expression | float]) -> list[Expression]:
    """`roots` with every part that is in `values` replaced; 0 and 1 and functions of numbers are worked out.

    Values apply to whole parts: a gate's expression may be replaced by 1 wherever the gate stands.
    """
    given = {e: constant(v) if isinstance(v, (int, float)) else v for e, v in values.items()}
    leaves = {e: e for e in subgraph(roots) if e.op == "leaf"}
    return evaluate(roots, leaves | given, SYMBOLIC)
