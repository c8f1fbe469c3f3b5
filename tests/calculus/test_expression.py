import copy
import gc
import math
import operator
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tidegate
from tidegate.calculus.expression import Expression, constant, evaluate, infix, subgraph, symbol
from tidegate.errors import EquationError

x, y, z = map(symbol, "xyz")
NUMBERS = {
    "constant": float,
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "neg": operator.neg,
    "tanh": math.tanh,
    "exp": math.exp,
    "maximum": max,
}


def test_equal_structure_is_one_object():
    assert (x + y) * x.tanh() is (symbol("x") + symbol("y")) * symbol("x").tanh()
    assert x + y is not y + x
    assert constant(2) is constant(2.0)
    assert constant(0.0) + x is x


def test_copies_and_pickles_are_the_same_object():
    e = (x * y + 1).sigmoid()
    assert copy.deepcopy(e) is e
    assert pickle.loads(pickle.dumps(e)) is e


def test_an_unreferenced_expression_is_freed():
    before = len(Expression._interned)
    e = symbol("fleeting").exp().log()
    assert len(Expression._interned) == before + 3
    del e
    gc.collect()
    assert len(Expression._interned) == before


def test_an_expression_is_immutable():
    with pytest.raises(AttributeError, match="immutable"):
        x.name = "y"


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (x + 0, x), (0 + x, x), (x - 0, x), (0 - x, -x), (x * 1, x), (1 * x, x), (x * 0, constant(0)),
        (x / 1, x), (0 - (0 - x), x), (constant(2) * 3, constant(6)), (constant(1) - 1, constant(0)), (x**1, x),
    ],
)  # fmt: skip
def test_neutral_elements_are_removed_at_construction(written, kept):
    assert written is kept


def test_a_division_by_the_constant_zero_is_kept_symbolic():
    assert (constant(1) / 0).op == "div"


@given(st.integers(1, 20), st.floats(-2, 2))
def test_a_whole_power_is_that_many_factors(power, value):
    (got,) = evaluate([x**power], {x: value}, NUMBERS)
    assert math.isclose(got, value**power, rel_tol=1e-12, abs_tol=1e-300)


@pytest.mark.parametrize("power", [0, -1, 0.5, 2.0, x])
def test_other_powers_are_refused_with_a_remedy(power):
    with pytest.raises(EquationError, match=r"whole number >= 1.*sqrt"):
        x**power


def test_a_branch_on_a_value_is_refused_with_a_remedy():
    with pytest.raises(EquationError, match=r"cannot branch.*maximum"):
        bool(x)


@pytest.mark.parametrize("stranger", ["1", None, True, np.ones(3), 1j])
def test_only_numbers_and_expressions_combine(stranger):
    with pytest.raises(EquationError, match=r"traced values and numbers.*vectors"):
        x * stranger


def test_a_numpy_array_on_the_left_is_refused_too():
    with pytest.raises(EquationError, match="traced values and numbers"):
        np.ones(3) * x


def test_subgraph_lists_arguments_before_their_users_and_each_once():
    e = (x + y) * (x + y).tanh()
    order = subgraph([e, x])
    assert len(order) == len(set(order)) == 5
    assert all(order.index(arg) < order.index(node) for node in order for arg in node.args)


def test_subgraph_does_not_enter_what_is_cut():
    assert subgraph([(x + y).tanh() * z], {(x + y).tanh()}) == [(x + y).tanh(), z, (x + y).tanh() * z]


def test_subgraph_works_for_expressions_deeper_than_the_stack_of_python():
    e = x
    for _ in range(20_000):
        e = e.tanh()
    assert len(subgraph([e])) == 20_001


def test_a_shared_part_is_computed_once():
    calls = []
    table = NUMBERS | {"tanh": lambda value: calls.append(value) or math.tanh(value)}
    shared = (x + y).tanh()
    assert evaluate([shared * shared, shared + z], {x: 1.0, y: 2.0, z: 0.5}, table)[1] == math.tanh(3.0) + 0.5
    assert calls == [3.0]


def test_a_value_that_is_given_is_not_computed():
    assert evaluate([(x + y).tanh() * 2], {(x + y).tanh(): 4.0}, NUMBERS) == [8.0]


def test_a_missing_value_is_named():
    with pytest.raises(KeyError, match="symbol y"):
        evaluate([x + y], {x: 1.0}, NUMBERS)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ((x + y) * z, "(x + y) * z"),
        (x - (y - z), "x - (y - z)"),
        (x - y - z, "x - y - z"),
        (x + (y + z), "x + y + z"),
        (x / (y * z), "x / (y * z)"),
        (x / y / z, "x / y / z"),
        (-(x + y), "-(x + y)"),
        (x * -y, "x * (-y)"),
        ((x + y) * (x + y), "(x + y)^2"),
        (tidegate.tanh(x + 1), "tanh(x + 1)"),
        (x.maximum(y), "maximum(x, y)"),
    ],
)
def test_infix_writes_brackets_where_they_are_needed(expression, text):
    assert infix(expression) == text
    assert repr(expression) == text


@given(st.recursive(st.sampled_from("xyz"), lambda inner: st.tuples(st.sampled_from("+-*"), inner, inner)))
def test_infix_evaluates_to_the_expression(tree):
    def build(node):
        if isinstance(node, str):
            return symbol(node)
        op, left, right = node
        return {"+": operator.add, "-": operator.sub, "*": operator.mul}[op](build(left), build(right))

    e, at = build(tree), {"x": 2.0, "y": 3.0, "z": 5.0}
    (direct,) = evaluate([e], {symbol(k): v for k, v in at.items()}, NUMBERS)
    assert math.isclose(eval(infix(e).replace("^", "**"), at), direct, rel_tol=1e-12, abs_tol=1e-12)


def test_named_parts_are_printed_by_name_but_not_the_whole():
    n = (x + y).tanh()
    assert infix(n * z, {n: "n"}) == "n * z"
    assert infix(n, {n: "n"}) == "tanh(x + y)"
    assert infix(n, {n: "n"}, outermost=False) == "n"
