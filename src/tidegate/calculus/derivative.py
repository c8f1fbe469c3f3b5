"""Differentiation of expressions by one reverse sweep, which keeps the factors that a person would write."""

from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence

from tidegate.calculus.expression import Expression, constant, subgraph

# For y = op(a, b) and the cotangent d of y: the cotangents of a and b.
PULL: Mapping[str, Callable[..., tuple[Expression, ...]]] = {
    "add": lambda d, y, a, b: (d, d),
    "sub": lambda d, y, a, b: (d, -d),
    "mul": lambda d, y, a, b: (d * b, d * a),
    "div": lambda d, y, a, b: (d / b, -(d * y / b)),
    "maximum": lambda d, y, a, b: (d * (1 + (a - b).sign()) / 2, d * (1 - (a - b).sign()) / 2),
    "neg": lambda d, y, a: (-d,),
    "exp": lambda d, y, a: (d * y,),
    "log": lambda d, y, a: (d / a,),
    "log1p": lambda d, y, a: (d / (1 + a),),
    "sqrt": lambda d, y, a: (d / (2 * y),),
    "abs": lambda d, y, a: (d * a.sign(),),
    "sigmoid": lambda d, y, a: (d * y * (1 - y),),
    "tanh": lambda d, y, a: (d * (1 - y * y),),
    "relu": lambda d, y, a: (d * y.step(),),
    "step": lambda d, y, a: (constant(0),),
    "sign": lambda d, y, a: (constant(0),),
}


Each = Callable[[Expression, Expression | None, Expression], Expression]


def keep(target: Expression, source: Expression | None, term: Expression) -> Expression:
    return term


def gradients(
    cotangents: Sequence[tuple[Expression, Expression]],
    wrt: Sequence[Expression] = (),
    named: Container[Expression] = (),
    each: Each = keep,
) -> dict[Expression, Expression]:
    """sum_i d_i * dy_i/dx for each x of `wrt`, where `cotangents` pairs each y_i with its d_i.

    The sweep goes from the outputs to the leaves. What reaches a node is added up there once, with common factors
    taken out, and every node further down refers to that sum: d_h * (h - n), not d_h * h - d_h * n. The cotangents of
    the nodes in `named` have names of their own, so they are factors themselves and are never taken apart.
    The result also holds the cotangent of every node on the way. `each(target, source, term)` sees every term as it
    arrives at its target, from the node `source` or as a cotangent given (None), and says what to add in its place.
    """
    whole: set[Expression] = set()
    terms: dict[Expression, list[Expression]] = {}
    for y, d in cotangents:
        terms.setdefault(y, []).append(each(y, None, d))
    found: dict[Expression, Expression] = {x: constant(0) for x in wrt}
    for node in reversed(subgraph([y for y, _ in cotangents])):
        if node not in terms:
            continue
        d = found[node] = add_up(terms[node], whole)
        if node in named:
            whole.add(d)
        if node.args:
            for arg, term in zip(node.args, PULL[node.op](d, node, *node.args)):
                terms.setdefault(arg, []).append(each(arg, node, term))
    return found


def add_up(terms: Sequence[Expression], whole: Container[Expression] = ()) -> Expression:
    """The sum of `terms`, their common factors in front, a positive term first; those in `whole` are not split."""
    split = [signed_factors(term, whole) for term in terms if term.value != 0]
    if not split:
        return constant(0)
    common = Counter(split[0][1])
    for _, factors in split[1:]:
        common &= Counter(factors)
    in_front = [f for f in dict.fromkeys(split[0][1]) for _ in range(common[f])]
    rests = [(sign, product(without(factors, common))) for sign, factors in split]
    positive = [rest for sign, rest in rests if sign > 0]
    negative = [rest for sign, rest in rests if sign < 0]
    if not positive:
        return -product([*in_front, total(negative)])
    rest = total(positive)
    for term in negative:
        rest = rest - term
    return product([*in_front, rest])


def signed_factors(x: Expression, whole: Container[Expression]) -> tuple[int, list[Expression]]:
    """(1 or -1, factors) with x = sign * product of the factors."""
    if x in whole:
        return 1, [x]
    if x.op == "neg":
        sign, factors = signed_factors(x.args[0], whole)
        return -sign, factors
    if x.op == "mul":
        (s, left), (t, right) = (signed_factors(arg, whole) for arg in x.args)
        return s * t, left + right
    return 1, [x]


def without(factors: Sequence[Expression], removed: Counter[Expression]) -> list[Expression]:
    left, kept = Counter(removed), []
    for factor in factors:
        if left[factor]:
            left[factor] -= 1
        else:
            kept.append(factor)
    return kept


def product(factors: Sequence[Expression]) -> Expression:
    result = constant(1)
    for factor in factors:
        result = result * factor
    return result


def total(terms: Sequence[Expression]) -> Expression:
    result = constant(0)
    for term in terms:
        result = result + term
    return result
