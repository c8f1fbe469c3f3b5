"""Every number of a problem is the same in NumPy, by autograd of the equations and by torch.nn, with every option."""

import numpy as np
import pytest
from tests.verification.test_arrays import EVERY

from tidegate.calculus import trace
from tidegate.cells import GRU, LSTM, RNN, ReluRNN
from tidegate.verification.numbers import by_equations, by_numpy, by_torch_nn
from tidegate.verification.plant import plant
from tidegate.verification.problem import options_of, random_problem

SIZES = (4, 3, 2, 5)


def different(one, other):
    """The keys of both whose arrays differ."""
    return {
        key
        for key in one.keys() & other.keys()
        if one[key].shape != other[key].shape or not np.allclose(one[key], other[key], rtol=1e-11, atol=1e-12)
    }


@pytest.mark.parametrize("cell", EVERY)
def test_numpy_and_autograd_have_the_same_numbers(cell):
    step = trace(cell)
    for options in ((), ("reverse", "lengths", "resets"), ("no bias", "indexed"), options_of(step)):
        problem = random_problem(cell, sizes=SIZES, seed=8, options=options)
        numpy, autograd = by_numpy(problem), by_equations(problem)
        assert autograd.keys() <= numpy.keys()
        assert {key[0] for key in autograd} >= {"a", "gate", "state", "d_state", "d_gate", "da", "total"}
        assert not different(numpy, autograd)


@pytest.mark.parametrize("cell", [RNN, ReluRNN, GRU, LSTM])
def test_torch_nn_has_the_same_states_and_gradients(cell):
    for options in ((), ("reverse", "lengths", "resets"), ("no bias", "indexed"), options_of(trace(cell))):
        problem = random_problem(cell, sizes=SIZES, seed=8, options=options)
        numpy, theirs = by_numpy(problem), by_torch_nn(problem)
        if "projected" in options and cell is not LSTM:
            assert not theirs
            continue
        assert ("total", "dW_hh[" + trace(cell).products[-1] + "]") in theirs
        assert (("d_state", "h") in theirs) is ("projected" not in options)
        assert not different(numpy, theirs)


def test_torch_nn_has_no_numbers_of_a_cell_that_it_does_not_have():
    assert by_torch_nn(random_problem(EVERY[-1], sizes=SIZES)) == {}


def test_a_planted_error_is_in_the_numbers():
    problem = random_problem(GRU, sizes=SIZES, seed=8)
    wrong = by_numpy(problem, plant(trace(GRU), "dh: d_h * z"))
    found = different(wrong, by_equations(problem))
    assert ("d_state", "h") in found
    assert not {key for key in found if not key[0].startswith("d") and not key[1].startswith("d")}
