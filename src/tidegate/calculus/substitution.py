"""Substitution: an expression with parts of it replaced, and simplified as it is rebuilt."""

import math
from collections.abc import Callable, Mapping, Sequence

from tidegate.calculus.expression import UNARY, Expression, constant, evaluate, subgraph

AT_NUMBERS: Mapping[str, Callable[[float], float]] = {
    "exp": math.exp,
    "tanh": math.tanh,
    "abs": abs,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "relu": lambda x: max(x, 0.0),
    "step": lambda x: float(not x <= 0),
    "sign": lambda x: float((x > 0) - (x < 0)),
}


def _rebuild(op: str) -> Callable[[Expression], Expression]:
    def apply(x: Expression) -> Expression:
        if x.value is not None and op in AT_NUMBERS:
            return constant(AT_NUMBERS[op](x.value))
        return Expression(op, x)

    return apply


SYMBOLIC: Mapping[str, Callable[..., Expression]] = {
    **{op: _rebuild(op) for op in UNARY},
    "constant": constant,
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "neg": lambda x: -x,
    "maximum": lambda x, y: x.maximum(y),
}


def substitute(roots: Sequence[Expression], values: Mapping[Expression, Expression | float]) -> list[Expression]:
    """`roots` with every part that is in `values` replaced; 0 and 1 and functions of numbers are worked out.

    Values apply to whole parts: a gate's expression may be replaced by 1 wherever the gate stands.
    """
    given = {e: constant(v) if isinstance(v, (int, float)) else v for e, v in values.items()}
    leaves = {e: e for e in subgraph(roots) if e.op == "symbol"}
    return evaluate(roots, leaves | given, SYMBOLIC)
