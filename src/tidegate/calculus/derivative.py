"""Differentiation of expressions in reverse mode, with common factors factored out as by hand."""

from collections import Counter
from collections.abc import Callable, Container, Sequence

from tidegate.calculus import operations
from tidegate.calculus.expression import Expression, as_expression, constant, definition_of, subgraph, symbol
from tidegate.calculus.substitution import substitute

#: Factors into which `add_up` splits a product at most; a product of more is one factor.
MOST_FACTORS = 1_000

Each = Callable[[Expression, Expression | None, Expression], Expression]


def pull_back(node: Expression, d: Expression) -> list[Expression]:
    """The gradients with respect to the arguments of `node`, from d, the one with respect to `node`."""
    derivative = operations.find(node.op).derivative
    if derivative is not None:
        return [as_expression(term) for term in derivative(d, node, *node.args)]
    stand_ins = [symbol(f"argument {i}") for i in range(len(node.args))]
    found = gradients([(definition_of(node.op, tuple(stand_ins)), symbol("d"))], stand_ins)
    return substitute([found[x] for x in stand_ins], {**dict(zip(stand_ins, node.args)), symbol("d"): d})


def keep(target: Expression, source: Expression | None, term: Expression) -> Expression:
    return term


def gradients(
    cotangents: Sequence[tuple[Expression, Expression]],
    wrt: Sequence[Expression] = (),
    named: Container[Expression] = (),
    each: Each = keep,
) -> dict[Expression, Expression]:
    """sum_i d_i * dy_i/dx for each x of `wrt`, where `cotangents` pairs each y_i with its d_i.

    Nodes are visited from the outputs to the leaves. The terms of a node's cotangent are added up once, with common
    factors taken out, and its arguments refer to that sum: d_h * (h - n), not d_h * h - d_h * n. The cotangents of the
    nodes in `named` are printed by name, so each is one factor and is not split. The result also has the cotangent of
    every node between. `each(target, source, term)` is called for every term of the cotangent of `target`, which comes
    from the node `source` or, with None, from `cotangents`; it returns the term to be added instead.
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
            for arg, term in zip(node.args, pull_back(node, d)):
                terms.setdefault(arg, []).append(each(arg, node, term))
    return found


def add_up(terms: Sequence[Expression], whole: Container[Expression] = ()) -> Expression:
    """The sum of `terms`, common factors first, a positive term first in brackets; those in `whole` are not split."""
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
    """(1 or -1, factors) with x = sign * product of the factors, which are at most 1,000."""
    sign, factors, waiting = 1, [], [x]
    while waiting:
        node = waiting.pop()
        if node in whole or node.op not in ("neg", "mul"):
            factors.append(node)
        elif node.op == "neg":
            sign = -sign
            waiting.append(node.args[0])
        else:
            waiting += reversed(node.args)
        if len(factors) + len(waiting) > MOST_FACTORS:
            return 1, [x]
    return sign, factors


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
