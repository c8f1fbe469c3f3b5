"""Equations of hundreds of chained operations, and of shared parts that would be written out exponentially often."""

import pickle

import pytest

from tidegate.calculus import adjoint, trace
from tidegate.calculus.derivation import derive
from tidegate.calculus.expression import infix, symbol
from tidegate.calculus.jacobian import jacobian
from tidegate.calculus.ranges import range_of
from tidegate.calculus.serial import dumps, loads
from tidegate.cells import Cell
from tidegate.cells.functions import sigmoid, tanh
from tidegate.errors import EquationError
from tidegate.verification import verify


class Chain(Cell):
    """400 operations, one after the other."""

    gates = ("n",)
    state = ("h",)

    def equations(a, U, h):
        n = a.n + U.n(h)
        for k in range(100):
            n = tanh(n * 1.01 + h / (k + 2))
        return (n,), (n,)


class Doubling(Cell):
    """60 values that each use the one before twice: 2^60 operations if written out."""

    gates = ("n",)
    state = ("h",)

    def equations(a, U, h):
        n = a.n + U.n(h)
        for _ in range(60):
            n = sigmoid(n) * n + 0.1 * n
        return (n,), (n,)


class Power(Cell):
    """A product of 2^60 factors, if all are counted."""

    gates = ("n",)
    state = ("h",)

    def equations(a, U, h):
        n = sigmoid(a.n + U.n(h))
        for _ in range(60):
            n = n * n
        return (n + h / 2,), (n,)


@pytest.mark.parametrize("cell", [Chain, Doubling, Power])
def test_a_deep_step_is_traced_differentiated_printed_and_saved(cell):
    step = trace(cell)
    assert len(str(step)) < 50_000
    assert len(str(adjoint(step))) < 100_000
    assert loads(dumps(step)) is step
    assert pickle.loads(pickle.dumps(step)) is step
    assert pickle.loads(pickle.dumps(step.new["h"])) is step.new["h"]
    assert range_of(step.gate["n"])
    assert jacobian(step).blocks["h", "h"]


def test_a_chain_of_400_operations_is_verified_on_every_engine():
    found = verify(Chain, sizes=(2, 2, 2, 3))
    assert found.passed, str(found)
    assert {"cpu float32", "eager float64", "reference"} <= set(found.comparisons[0].oracles)


@pytest.mark.parametrize("cell", [Chain, Doubling, Power])
def test_a_derivation_that_is_too_long_is_refused_with_its_size(cell):
    with pytest.raises(EquationError, match=r"too large to be printed: a formula would have [\d,]+ operations, nested"):
        derive(cell)


def test_a_long_expression_is_printed_up_to_a_length():
    e = symbol("x")
    for _ in range(100):
        e = e.tanh() * e
    assert len(infix(e)) < 20_000
    assert infix(e).count("tanh") > 500
    assert "..." in infix(e)
    deep = symbol("x")
    for _ in range(1_500):
        deep = deep.tanh()
    assert infix(deep) == "tanh(" * 1_500 + "x" + ")" * 1_500
