"""The equations themselves, run on tensors, are what their sources say: torch.nn's numbers, to 1e-12 in float64."""

import math
from dataclasses import replace

import pytest
import torch

from tidegate.cells import CELLS
from tidegate.verification.direct import unroll
from tidegate.verification.problem import random_problem

TWINS = {"rnn": torch.nn.RNN, "rnn-relu": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}


def torch_layer(name, call):
    options = {"nonlinearity": "relu"} if name == "rnn-relu" else {}
    layer = TWINS[name](call.D, call.H, dtype=torch.float64, **options)
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    layer.load_state_dict(dict(zip(names, call.weights.tensors())))
    return layer


@pytest.mark.parametrize("name", TWINS)
def test_a_cell_that_torch_has_gives_the_results_of_torch(name):
    call = random_problem(CELLS[name], seed=1).call
    states = tuple(s[None] for s in call.states)
    y, final = torch_layer(name, call)(call.x, states if len(states) > 1 else states[0])
    ours = unroll(call, CELLS[name])
    torch.testing.assert_close(ours.outputs, y, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(torch.stack(ours.states), torch.cat(final if len(states) > 1 else (final,)))


def one_step(name, **changes):
    problem = random_problem(CELLS[name], sizes=(1, 2, 3, 4), seed=2)
    return unroll(problem.call, problem.cell), problem.call


def by_gate(call):
    """a_g + q_g, with the product taken of the old output, as a dictionary by gate."""
    w, gates = call.weights, call.step.gates
    a = (call.x[0] @ w.w_ih.T + w.b_ih).split(call.H, -1)
    q = (call.states[0] @ w.w_hh.T + w.b_hh).split(call.H, -1)
    return dict(zip(gates, a)), dict(zip(gates, q))


def test_the_reset_before_gru_multiplies_before_the_product():
    got, call = one_step("reset-before-gru")
    (h,) = call.states
    a, q = by_gate(call)
    r, z = torch.sigmoid(a["r"] + q["r"]), torch.sigmoid(a["z"] + q["z"])
    U, c = call.weights.w_hh[2 * call.H :], call.weights.b_hh[2 * call.H :]
    n = torch.tanh(a["n"] + (r * h) @ U.T + c)
    torch.testing.assert_close(got.states[0], z * h + (1 - z) * n)


@pytest.mark.parametrize(
    ("whole", "ablated", "gate", "bias"),
    [
        ("reset-before-gru", "reset-only-gru", "z", -math.inf),
        ("reset-before-gru", "update-only-gru", "r", math.inf),
        ("gru", "update-only-gru", "r", math.inf),
    ],
)
def test_a_gru_without_a_gate_is_the_whole_one_with_that_gate_constant(whole, ablated, gate, bias):
    call = random_problem(CELLS[whole], sizes=(6, 2, 3, 4), seed=4).call
    kept = [g for g in call.step.gates if g != gate]
    rows = {g: slice(k * call.H, (k + 1) * call.H) for k, g in enumerate(call.step.gates)}
    constant = call.weights.b_ih.detach().clone()
    constant[rows[gate]] = bias
    tensors = dict(zip(("w_ih", "w_hh", "b_ih", "b_hh"), call.weights.tensors()))
    without = {name: torch.cat([tensor[rows[g]] for g in kept]) for name, tensor in tensors.items()}
    less = random_problem(CELLS[ablated], sizes=(6, 2, 3, 4), seed=4).call
    small = replace(less, x=call.x, states=call.states, weights=replace(less.weights, **without))
    full = replace(call, weights=replace(call.weights, b_ih=constant))
    torch.testing.assert_close(unroll(small, CELLS[ablated]).outputs, unroll(full, CELLS[whole]).outputs)


def test_peepholes_use_the_old_cell_state_and_the_output_gate_the_new():
    got, call = one_step("peephole-lstm")
    _, c = call.states
    a, q = by_gate(call)
    p_i, p_f, p_o = call.weights.vectors.split(call.H)
    i = torch.sigmoid(a["i"] + q["i"] + p_i * c)
    f = torch.sigmoid(a["f"] + q["f"] + p_f * c)
    new = f * c + i * torch.tanh(a["g"] + q["g"])
    o = torch.sigmoid(a["o"] + q["o"] + p_o * new)
    torch.testing.assert_close(torch.stack(got.states), torch.stack([o * torch.tanh(new), new]))


@pytest.mark.parametrize(("name", "g"), [("residual", torch.tanh), ("residual-sigmoid", torch.sigmoid)])
def test_a_residual_cell_adds_to_its_old_state(name, g):
    got, call = one_step(name)
    a, q = by_gate(call)
    torch.testing.assert_close(got.states[0], call.states[0] + g(a["n"] + q["n"]))


def test_the_two_grus_differ():
    problem = random_problem(CELLS["gru"], seed=3)
    other = random_problem(CELLS["reset-before-gru"], seed=3)
    assert torch.equal(problem.call.x, other.call.x)
    outputs = (unroll(p.call, p.cell).outputs for p in (problem, other))
    assert torch.dist(*outputs) > 1e-2
