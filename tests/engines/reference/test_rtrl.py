"""Real-time recurrent learning finds the gradients of BPTT in one forward pass."""

import numpy as np
import pytest

from tidegate.calculus import evaluate, trace
from tidegate.calculus.expression import Expression, symbol
from tidegate.calculus.operations import find
from tidegate.cells import CELLS, Cell
from tidegate.cells.functions import absolute, exp, log, log1p, maximum, softplus, sqrt
from tidegate.engines.reference.bptt import backward, forward
from tidegate.engines.reference.functions import FUNCTIONS, OPERATIONS
from tidegate.engines.reference.problem import GROUPS, as_problem
from tidegate.engines.reference.rtrl import DUAL, Dual, count_directions, rtrl
from tidegate.verification.problem import options_of, random_problem


class Everything(Cell):
    """Every operation that equations may use."""

    gates = ("k", "n")
    state = ("h",)
    vectors = ("w",)

    def equations(a, U, v, h):
        k = 1 / (1 + exp(-(a.k + U.k(absolute(h) / 2 - h))))
        n = log(2 + k) * softplus(a.n) - sqrt(1 + h**2) + log1p(k) + maximum(v.w * h, U.n(k * h))
        return (-n.tanh() * k + n.relu() / 8,), (k, n)


CASES = [
    pytest.param(cell, options, id=f"{name} {' '.join(options)}")
    for name, cell in {**CELLS, "everything": Everything}.items()
    for every in [tuple(o for o in options_of(trace(cell)) if o != "indexed")]
    for options in [(), *((option,) for option in every), every]
]


@pytest.mark.parametrize(("cell", "options"), CASES)
def test_rtrl_equals_bptt(cell, options):
    random = random_problem(trace(cell), sizes=(5, 2, 3, 4), options=options, seed=31)
    problem = as_problem(random.call, random.call.x, random.call.states, random.call.weights)
    d_outputs, d_final = random.d_outputs.numpy(), dict(zip(cell.state, (d.numpy() for d in random.d_final)))
    back = backward(problem, forward(problem), d_outputs, d_final)
    ahead = rtrl(problem, d_outputs, d_final)
    assert close(ahead.x, back.x)
    for group in ("states", *GROUPS):
        assert getattr(ahead, group).keys() == getattr(back, group).keys()
        for name, expected in getattr(back, group).items():
            assert close(getattr(ahead, group)[name], expected), (group, name)


def close(got, expected):
    return got.shape == expected.shape and np.linalg.norm(got - expected) <= 1e-12 * np.linalg.norm(expected)


@pytest.mark.parametrize("op", [op for op in FUNCTIONS if op not in ("step", "sign")])
def test_a_dual_number_has_the_derivative_of_finite_differences(op):
    x, y, small = np.array([0.7, 1.9]), np.array([1.3, 0.4]), 1e-6
    symbols = [symbol("x"), symbol("y")][: find(op).arity]
    e = Expression(op, *symbols)

    def at(shift):
        return evaluate([e], dict(zip(symbols, (x + shift, y - 2 * shift))), OPERATIONS)[0]

    (dual,) = evaluate([e], dict(zip(symbols, (Dual(x, np.ones((1, 2))), Dual(y, -2 * np.ones((1, 2)))))), DUAL)
    np.testing.assert_allclose(dual.value, at(0), rtol=1e-15)
    np.testing.assert_allclose(dual.slope[0], (at(small) - at(-small)) / (2 * small), rtol=1e-8)


def test_the_number_of_rtrl_directions_is_computed_in_advance():
    random = random_problem(trace(CELLS["gru"]), sizes=(5, 2, 3, 4))
    problem = as_problem(random.call, random.call.x, random.call.states, random.call.weights)
    assert count_directions(problem) == 3 * (4 * 3 + 4 * 4 + 4 + 4) + 5 * 3 + 4
