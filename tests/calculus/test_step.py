"""Steps as data: their identity, their pickles, and names that look like other leaves."""

import copy
import pickle
from dataclasses import replace

import pytest
import torch

from tidegate.calculus import trace
from tidegate.calculus.expression import leaf, symbol
from tidegate.cells import CELLS, GRU, Cell
from tidegate.cells.functions import sigmoid, tanh
from tidegate.engines import choose
from tidegate.errors import EquationError
from tidegate.verification import verify
from tidegate.verification.direct import unroll
from tidegate.verification.problem import random_problem


class CotangentNames(Cell):
    """States called as gradients are printed."""

    gates = ("n", "h_new")
    state = ("h", "d_h", "d_p0", "d_gate_n")

    def equations(a, U, h, d_h, d_p0, d_gate_n):
        n = tanh(a.n + U.n(h) + d_gate_n)
        k = sigmoid(a.h_new + U.h_new(h * d_h))
        d_h = k * d_h + (1 - k) * n * d_p0
        return (n * d_h + h, d_h, n - d_p0 * k, h * k), (n, k)


class LeafNames(Cell):
    """States called as inputs, products and vectors are printed, and a gate and a vector of one name."""

    gates = ("n", "i")
    state = ("a_n", "q_n", "v_i", "h_new")
    vectors = ("i", "n")

    def equations(a, U, v, a_n, q_n, v_i, h_new):
        i = sigmoid(a.i + U.i(a_n) + v.i * v_i)
        n = tanh(a.n + U.n(q_n * i) + v.n * h_new - a_n)
        return (i * n + a_n, n - q_n * i, v_i * i + n, h_new * n - v_i), (n, i)


class ArgumentNames(Cell):
    """States called as a kernel's arguments for other states are."""

    gates = ("x", "dq")
    state = ("h", "t_h", "b_h", "saved", "T")

    def equations(a, U, h, t_h, b_h, saved, T):
        x = tanh(a.x + U.x(h) + t_h - saved)
        dq = sigmoid(a.dq + U.dq(t_h * b_h) + T)
        return (h * dq + x, t_h - x * b_h, b_h * dq, x * T - saved * dq, dq * T + h), (x, dq)


ODD = {cell.__name__: cell for cell in (CotangentNames, LeafNames, ArgumentNames)}
OPTIONS = [(), ("reverse", "lengths", "resets")]


@pytest.mark.parametrize("options", OPTIONS, ids=["plain", "ragged"])
@pytest.mark.parametrize("engine", choose.ENGINES)
@pytest.mark.parametrize("cell", ODD.values(), ids=ODD)
def test_names_that_look_like_other_leaves_have_the_gradients_of_autograd(cell, engine, options):
    problem = random_problem(cell, sizes=(5, 3, 4, 6), options=options, seed=61)
    call = replace(problem.call, keep_gates=True)
    refusal = choose.find(engine).refuse(call)
    if refusal and engine not in ("reference", "eager", "cpu"):
        pytest.skip(refusal)
    found = [(choose.dispatch(call, engine)), unroll(call, cell)]
    random = torch.Generator().manual_seed(1)
    d = {n: torch.randn(t.shape, generator=random).double() for n, t in (found[1].sequences | found[1].gates).items()}
    leaves = list(problem.leaves().values())
    gradients = []
    for result in found:
        kept = result.sequences | result.gates
        loss = problem.loss(result) + sum((kept[n] * d[n]).sum() for n in kept)
        gradients.append(torch.autograd.grad(loss, leaves))
    torch.testing.assert_close(found[0].outputs, found[1].outputs, rtol=1e-12, atol=1e-13)
    for got, expected in zip(*gradients):
        torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("cell", ODD.values(), ids=ODD)
def test_names_that_look_like_other_leaves_are_verified(cell):
    assert verify(cell, sizes=(3, 2, 2, 3)).passed


def test_leaves_of_one_name_and_two_kinds_are_two():
    assert len({leaf("state", "n"), leaf("input", "n"), leaf("vector", "n"), symbol("n")}) == 4
    assert leaf("state", "n") is leaf("state", "n")
    with pytest.raises(EquationError, match=r"kind of a leaf must be one of input.*got 'stat'"):
        leaf("stat", "n")


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_copies_and_pickles_of_a_step_are_the_same_object(cell):
    step = trace(cell)
    assert pickle.loads(pickle.dumps(step)) is step
    assert copy.deepcopy(step) is step


def test_a_step_holds_no_class():
    content = [getattr(trace(GRU), field) for field in trace(GRU).__dataclass_fields__]
    assert not any(isinstance(part, type) for part in content)


@pytest.mark.parametrize("name", ["_h", "class", "", "a b"])
def test_a_state_name_that_is_not_valid_in_equations_is_refused(name):
    body = {"gates": ("n",), "state": (name,), "equations": lambda a, U, h: ((a.n + h,), (a.n,))}
    with pytest.raises(EquationError, match=r"state must be a tuple of names.*no keyword.*underscore"):
        trace(type("Mine", (Cell,), body))


def test_a_cell_whose_name_is_not_an_identifier_is_refused():
    body = {"gates": ("n",), "state": ("h",), "equations": lambda a, U, h: ((a.n + h,), (a.n,))}
    with pytest.raises(EquationError, match="name of a cell must be a Python identifier, got 'my cell'"):
        trace(type("my cell", (Cell,), body))
