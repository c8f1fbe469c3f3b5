"""The step Jacobian by paths, against autograd and against closed forms written by hand: 1e-12 in float64."""

from dataclasses import replace

import pytest
import torch

from tidegate.calculus import evaluate, trace
from tidegate.calculus.jacobian import Path, jacobian
from tidegate.calculus.ranges import split_by_range
from tidegate.cells import CELLS, GRU, LSTM, RNN, ResidualRNN
from tidegate.engines.eager import OPERATIONS
from tidegate.verification.direct import by_name, unroll, unroll_moments
from tidegate.verification.problem import random_problem

TORCH = OPERATIONS | {
    "step": lambda x: (x > 0).double(), "sign": torch.sign, "relu": torch.relu,
}  # fmt: skip
H = 5


def one_step(cell, seed):
    """The call of one step of one sequence, and what it computed."""
    call = random_problem(trace(cell), sizes=(1, 1, 3, H), seed=seed).call
    return call, unroll_moments(call, cell)[1][0]


def by_autograd(call, cell):
    """The joint Jacobian, (states * H, states * H)."""
    states = call.step.state

    def new(*old):
        result = unroll(replace(call, states=old), cell)
        return torch.cat([s[0] for s in result.states])

    rows = torch.autograd.functional.jacobian(new, tuple(s.detach() for s in call.states))
    return torch.cat([row.reshape(len(states) * H, H) for row in rows], 1)


def joint(blocks, states):
    return torch.cat([torch.cat([blocks[new, old] for old in states], 1) for new in states])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_the_sum_of_the_paths_is_autograd_s_jacobian(cell, seed):
    call, moment = one_step(cell, seed)
    step = call.step
    given = {step.old[s]: moment.old[s][0] for s in step.state}
    given |= {step.a[g]: moment.a[g][0] for g in step.inputs} | {step.q[g]: moment.q[g][0] for g in step.products}
    given |= {step.v[n]: v for n, v in by_name(call.weights.vectors, step.vectors, H).items()}
    U = by_name(call.weights.w_hh, step.products, H)
    eye = torch.eye(H, dtype=torch.float64)
    got = joint(jacobian(step).evaluate(given, U, TORCH, eye), step.state)
    torch.testing.assert_close(got, by_autograd(call, cell), rtol=1e-12, atol=1e-13)


def D(x):
    return torch.diag(x)


def rnn(m, U, h):
    n = m.gate["n"][0]
    return D(1 - n**2) @ U["n"]


def residual(m, U, h):
    n = m.gate["n"][0]
    return torch.eye(H, dtype=torch.float64) + D(1 - n**2) @ U["n"]


def gru(m, U, h):
    r, z, n = (m.gate[g][0] for g in "rzn")
    q = m.q["n"][0]
    candidate = D(r) @ U["n"] + D(q * r * (1 - r)) @ U["r"]
    return D(z) + D((h - n) * z * (1 - z)) @ U["z"] + D((1 - z) * (1 - n**2)) @ candidate


def reset_before_gru(m, U, h):
    r, z, n = (m.gate[g][0] for g in "rzn")
    inside = D(r) + D(h * r * (1 - r)) @ U["r"]
    return D(z) + D((h - n) * z * (1 - z)) @ U["z"] + D((1 - z) * (1 - n**2)) @ U["n"] @ inside


def lstm(m, U, h):
    i, f, g, o = (m.gate[k][0] for k in "ifgo")
    c, u = m.old["c"][0], torch.tanh(m.new["c"][0])
    c_c = D(f)
    c_h = D(c * f * (1 - f)) @ U["f"] + D(g * i * (1 - i)) @ U["i"] + D(i * (1 - g**2)) @ U["g"]
    h_c = D(o * (1 - u**2) * f)
    h_h = D(u * o * (1 - o)) @ U["o"] + D(o * (1 - u**2)) @ c_h
    return torch.cat([torch.cat([h_h, h_c], 1), torch.cat([c_h, c_c], 1)])


BY_HAND = {"rnn": rnn, "residual": residual, "gru": gru, "reset-before-gru": reset_before_gru, "lstm": lstm}


@pytest.mark.parametrize("name", BY_HAND)
def test_the_closed_form_is_autograd_s_jacobian(name):
    """Pascanu, Mikolov and Bengio (2013), section 2, for the RNN; the others by the product rule, on paper."""
    for seed in range(3):
        call, moment = one_step(CELLS[name], seed)
        U = by_name(call.weights.w_hh, call.step.gates, H)
        by_hand = BY_HAND[name](moment, U, moment.old["h"][0])
        torch.testing.assert_close(by_hand, by_autograd(call, CELLS[name]), rtol=1e-12, atol=1e-13)


def test_the_part_of_h_alone_is_not_what_an_lstm_multiplies_gradients_by():
    """With an open forget gate the joint product keeps what the product of the h-by-h blocks loses."""
    problem = random_problem(trace(LSTM), sizes=(40, 1, 3, H), seed=7)
    with torch.no_grad():
        problem.call.weights.b_ih[H : 2 * H] += 4
    _, moments = unroll_moments(problem.call, LSTM)
    U = by_name(problem.call.weights.w_hh, "ifgo", H)
    whole, alone = torch.eye(2 * H, dtype=torch.float64), torch.eye(H, dtype=torch.float64)
    for m in moments:
        J = lstm(m, U, m.old["h"][0]).detach()
        whole, alone = J @ whole, J[:H, :H] @ alone
    assert torch.linalg.matrix_norm(whole, 2) > 1e-2
    assert torch.linalg.matrix_norm(alone, 2) < 1e-6


def test_the_paths_of_the_cells_are_those_of_the_textbook():
    def shape(path):
        return (path.gate, *map(shape, path.inner)) if path.inner else path.gate

    def shapes(cell):
        return {key: [shape(path) for path in paths] for key, paths in jacobian(trace(cell)).blocks.items()}

    assert shapes(RNN) == {("h", "h"): [("n", None)]}
    assert shapes(ResidualRNN) == {("h", "h"): [None, ("n", None)]}
    assert shapes(GRU) == {("h", "h"): [None, ("r", None), ("z", None), ("n", None)]}
    assert shapes(CELLS["reset-before-gru"]) == {("h", "h"): [None, ("z", None), ("n", None, ("r", None))]}
    assert shapes(LSTM)["c", "c"] == [None]
    assert shapes(LSTM)["h", "c"] == [None]


def test_a_constant_gate_removes_its_own_path():
    step = trace(GRU)
    opened = jacobian(step).replaced({step.gate["z"]: 1})
    assert opened.blocks["h", "h"] == (
        Path(jacobian(step).blocks["h", "h"][0].factor.__class__("constant", value=1.0)),
    )
    closed = jacobian(step).replaced({step.gate["z"]: 0})
    assert {path.gate for path in closed.blocks["h", "h"]} == {"r", "n"}


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_the_bound_of_a_factor_holds_for_all_numbers_tried(cell):
    step = trace(cell)
    random = torch.Generator().manual_seed(3)

    def factors(paths):
        for path in paths:
            yield path.factor
            yield from factors(path.inner)

    leaves = [*step.a.values(), *step.q.values(), *step.old.values(), *step.v.values()]
    given = {e: 3 * torch.randn(20_000, generator=random, dtype=torch.float64) for e in leaves}
    tried = 0
    for paths in jacobian(step).blocks.values():
        for factor in factors(paths):
            bound, rest = split_by_range(factor)
            (value,) = evaluate([factor], given, TORCH)
            size = 1.0 if rest is None else evaluate([rest], given, TORCH)[0].abs()
            assert (torch.as_tensor(value).abs() <= bound * size * (1 + 1e-12)).all()
            tried += 1
    assert tried
