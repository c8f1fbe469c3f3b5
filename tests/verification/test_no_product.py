"""Cells whose gates have no recurrent matrix product: verified, run by every engine, and printed without U and c."""

import pytest
import torch

from tidegate import Recurrent
from tidegate.calculus import trace
from tidegate.calculus.derivation import FORMATS, derive
from tidegate.cells import Cell
from tidegate.cells.functions import relu, sigmoid, tanh
from tidegate.engines import choose
from tidegate.errors import ArgumentError
from tidegate.verification import verify
from tidegate.verification.direct import unroll
from tidegate.verification.everything import is_found
from tidegate.verification.plant import terms_of
from tidegate.verification.problem import options_of, random_problem


class Independent(Cell):
    """n = relu(W x + b + v * h): Li et al., arXiv:1803.04831 (2018)."""

    gates = ("n",)
    state = ("h",)
    vectors = ("u",)

    def equations(a, U, v, h):
        n = relu(a.n + v.u * h)
        return (n,), (n,)


class Leaky(Cell):
    gates = ("k", "n")
    state = ("h", "c")

    def equations(a, U, h, c):
        k = sigmoid(a.k)
        n = tanh(a.n + h)
        c = k * c + (1 - k) * n
        return (tanh(c) + h / 2, c), (k, n)


class Constant(Cell):
    """A gate that reaches no state beside one that does."""

    gates = ("k", "n")
    state = ("h",)

    def equations(a, U, h):
        return (tanh(a.n) + h / 2,), (sigmoid(a.k), tanh(a.n))


WITHOUT = [Independent, Leaky, Constant]


@pytest.mark.parametrize("cell", WITHOUT)
def test_a_cell_without_products_is_verified_and_its_planted_errors_found(cell):
    found = verify(cell, options=["lengths", "resets", "reverse"])
    assert found.passed, str(found)
    assert {"cpu float32", "cpu float64", "eager float64", "reference", "RTRL"} <= {c.oracle for c in found.checks}
    assert terms_of(trace(cell))
    assert all(is_found(cell, term, 0) for term in terms_of(trace(cell)))


@pytest.mark.parametrize("engine", ["cpu", "eager", "reference"])
@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (5, 3, 4, 7), (9, 33, 5, 16), (4, 2, 40, 70)], ids=str)
@pytest.mark.parametrize("cell", WITHOUT)
def test_every_engine_runs_a_cell_without_products_at_every_size(cell, sizes, engine):
    options = [option for option in options_of(trace(cell)) if option in ("lengths", "resets", "reverse")]
    problem = random_problem(cell, sizes=sizes, options=options, seed=71)
    ours, theirs = choose.dispatch(problem.call, engine), unroll(problem.call, cell)
    torch.testing.assert_close(ours.outputs, theirs.outputs, rtol=1e-12, atol=1e-13)
    leaves = list(problem.leaves().values())
    for got, expected in zip(*(torch.autograd.grad(problem.loss(r), leaves, allow_unused=True, materialize_grads=True)
                               for r in (ours, theirs))):  # fmt: skip
        torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-12)


def test_a_layer_without_products_is_verified_with_its_own_parameters():
    layer = Recurrent(Independent, 3, 4, num_layers=2, bidirectional=True)
    assert verify(layer).passed


@pytest.mark.parametrize("cell", WITHOUT)
@pytest.mark.parametrize("format", FORMATS)
def test_the_derivation_of_a_cell_without_products_has_no_recurrent_matrix(cell, format):
    text = derive(cell, unroll=2).render(format)
    for absent in ("U_", "c_g", "weight_hh", "bias_hh", "dq", "<mi>U</mi>"):
        assert absent not in text
    assert "no recurrent matrix product" in " ".join(text.split())


def test_an_argument_that_is_not_a_cell_is_refused():
    for subject in (3, torch.nn.GRU, None):
        with pytest.raises(ArgumentError, match=r"`subject` must be a class that derives from tidegate.Cell"):
            verify(subject)
        with pytest.raises(ArgumentError, match=r"`cell` must be a class that derives from tidegate.Cell"):
            derive(subject)
    with pytest.raises(ArgumentError, match="Did you mean gru"):
        derive("GRU")


def test_a_step_is_verified_and_derived_without_its_class():
    assert verify(trace(Leaky), sizes=(3, 2, 2, 3)).passed
    assert derive(trace(Leaky)).sections == derive(Leaky).sections
    assert derive("gru").render() == derive(trace_of("gru")).render()


def trace_of(name):
    from tidegate.cells import CELLS

    return CELLS[name]
