"""One table of operations: complete for every engine, and enough for a new operation."""

import math
from types import MappingProxyType

import numpy as np
import pytest
import torch

from tidegate.calculus import adjoint, operations, trace
from tidegate.calculus.derivation import FORMATS, derive
from tidegate.calculus.expression import constant, symbol
from tidegate.calculus.operations import OPERATIONS, TABLE, Operation
from tidegate.calculus.ranges import range_of
from tidegate.calculus.serial import dumps, loads
from tidegate.cells import Cell
from tidegate.cells.functions import named, sigmoid
from tidegate.engines import choose, eager
from tidegate.engines.reference.functions import FUNCTIONS
from tidegate.errors import EquationError
from tidegate.verification import verify
from tidegate.verification.problem import random_problem

PRIMITIVES = [operation for operation in TABLE if operation.definition is None]
POINTS = [-3.0, -0.4, 0.0, 0.3, 2.5]


@pytest.mark.parametrize("operation", TABLE, ids=lambda operation: operation.name)
def test_numbers_numpy_and_torch_agree(operation):
    for x in POINTS:
        args = (x, 0.7)[: operation.arity]
        e = symbol("x").operation(operation.name, *args)
        if e.value is None:  # outside the domain
            assert operation.name in ("log", "log1p", "sqrt")
            continue
        if operation.name in FUNCTIONS:
            assert math.isclose(e.value, FUNCTIONS[operation.name].compute(*map(np.float64, args)), abs_tol=1e-15)
            got = eager.OPERATIONS[operation.name](*(torch.tensor(a, dtype=torch.float64) for a in args))
            assert math.isclose(e.value, float(got), rel_tol=1e-15, abs_tol=1e-15)
        low, high = range_of(e)
        assert low <= e.value <= high


def test_every_engine_implements_every_primitive():
    from tidegate.engines.cpu import functions

    class Code:
        vec = None

    names = {operation.name for operation in PRIMITIVES}
    assert names == set(FUNCTIONS)
    assert names <= set(eager.OPERATIONS)
    assert names <= set(functions.table(Code()))


def test_an_unknown_operation_is_refused_with_the_file_of_the_table():
    with pytest.raises(EquationError, match=r"no operation 'cosine'.*operations.py"):
        symbol("x").operation("cosine", symbol("x"))
    with pytest.raises(EquationError, match="maximum takes 2 arguments, got 1"):
        symbol("x").maximum()


@named
def gaussian_bump(x):
    """x exp(-x^2 / 2), which the library does not have."""
    return x * (-x * x / 2).exp()


@named
def soft_limit(x, y):
    """x / (1 + |y| + |x|), an operation of two arguments."""
    return x / (1 + y.abs() + x.abs())


NEW = (
    Operation("gaussian_bump", definition=gaussian_bump.__wrapped__),
    Operation(
        "soft_limit",
        2,
        range=lambda x, y: (-1.0, 1.0),
        latex=r"\operatorname{lim}",
        definition=soft_limit.__wrapped__,
    ),
)


class Bumps(Cell):
    gates = ("k", "n")
    state = ("h",)

    def equations(a, U, h):
        k = sigmoid(a.k + U.k(gaussian_bump(h)))
        n = soft_limit(a.n + U.n(h), 1 + k)
        return (k * h + gaussian_bump(n),), (k, n)


@pytest.fixture
def new_operations(monkeypatch):
    table = {**OPERATIONS, **{operation.name: operation for operation in NEW}}
    monkeypatch.setattr(operations, "OPERATIONS", MappingProxyType(table))


@pytest.mark.usefixtures("new_operations")
def test_one_record_with_a_definition_is_enough_for_every_engine_and_for_verify():
    found = verify(Bumps, sizes=(4, 3, 2, 6))
    assert found.passed, str(found)
    oracles = set(found.comparisons[0].oracles)
    assert {"autograd", "reference", "RTRL", "differences", "eager float64", "cpu float64"} <= oracles


@pytest.mark.usefixtures("new_operations")
def test_a_new_operation_is_printed_by_its_name_in_every_format_and_written_as_json():
    step = trace(Bumps)
    assert "n = soft_limit(a_n + q_n, 1 + k)" in str(step)
    assert loads(dumps(step)) is step
    for format in FORMATS:
        text = derive(Bumps).render(format)
        assert "gaussian" in text
    assert r"\operatorname{lim}\left(" in derive(Bumps).render("latex")
    assert range_of(step.gate["n"]) == (-1.0, 1.0)
    assert constant(0.5).operation("gaussian_bump", 0.5).value == pytest.approx(0.5 * math.exp(-0.125))


@pytest.mark.usefixtures("new_operations")
def test_an_operation_applied_twice_to_one_value_has_the_gradient_of_both():
    class Twice(Cell):
        gates = ("n",)
        state = ("h",)

        def equations(a, U, h):
            n = soft_limit(a.n + U.n(h), a.n + U.n(h)) + soft_limit(h, h * h + 2)
            return (n,), (n,)

    assert verify(Twice, sizes=(3, 2, 2, 3), engine="eager", dtype=torch.float64).passed


def test_without_its_record_a_named_function_is_refused():
    class Forgotten(Cell):
        gates = ("n",)
        state = ("h",)

        def equations(a, U, h):
            return (gaussian_bump(a.n + U.n(h)),), (a.n,)

    with pytest.raises(EquationError, match=r"no operation 'gaussian_bump'.*calculus/operations.py"):
        trace(Forgotten)


def test_an_error_in_the_table_of_derivatives_is_found_by_the_reference(monkeypatch):
    """tanh' = 1 - y instead of 1 - y^2: the derived gradients are wrong, those of the reference are not."""

    class WrongTanh(Cell):
        gates = ("n",)
        state = ("h",)

        def equations(a, U, h):
            n = (a.n + U.n(h)).tanh()
            return (n,), (n,)

    wrong = Operation("tanh", 1, lambda d, y, a: (d * (1 - y),), math.tanh, "tanh")
    monkeypatch.setattr(operations, "OPERATIONS", MappingProxyType({**OPERATIONS, "tanh": wrong}))
    found = verify(WrongTanh, sizes=(3, 2, 2, 3))
    failed = {check.oracle for check in found.checks if not check.passed}
    assert {"reference", "RTRL", "autograd", "differences", "eager float64"} <= failed
    problem = random_problem(WrongTanh, sizes=(3, 2, 2, 3))
    gradients = [
        torch.autograd.grad(problem.loss(choose.dispatch(problem.call, engine)), list(problem.leaves().values()))
        for engine in ("reference", "eager")
    ]
    for reference, by_autograd in zip(*gradients):
        torch.testing.assert_close(reference, by_autograd, rtol=1e-12, atol=1e-13)
    adjoint.cache_clear()


def test_a_number_on_either_side_of_a_maximum_and_a_minimum():
    from tidegate.cells.functions import maximum, minimum

    class Limits(Cell):
        gates = ("n",)
        state = ("h",)

        def equations(a, U, h):
            n = maximum(0.1, minimum(a.n + U.n(h), 0.9)) + minimum(0.4, maximum(h, -0.3))
            return (n,), (n,)

    assert verify(Limits, sizes=(3, 2, 2, 3)).passed
