"""The derived adjoint, against torch's autograd of the cell's own equations run on tensors."""

import pytest
import torch

from tidegate.calculus import adjoint, evaluate, trace
from tidegate.cells import CELLS, GRU, LSTM, RNN, PeepholeLSTM, ResetBeforeGRU
from tidegate.engines.eager import OPERATIONS
from tidegate.verification.direct import by_name, unroll_moments
from tidegate.verification.problem import random_problem

TORCH = OPERATIONS | {"step": lambda x: (x > 0).double(), "sign": torch.sign}


@pytest.mark.parametrize("of_gates", [False, True], ids=["states", "states and gates"])
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_one_step_backwards_is_autograd_of_the_equations(cell, of_gates):
    step = trace(cell)
    problem = random_problem(cell, sizes=(1, 3, 2, 4), seed=5)
    call = problem.call
    _, (moment,) = unroll_moments(call, cell)
    back = adjoint(step, of_gates=of_gates)
    given = {back.d_new[s]: torch.randn(3, 4, dtype=torch.float64) for s in step.state}
    L = sum((moment.new[s] * given[back.d_new[s]]).sum() for s in step.state)
    if of_gates:
        given |= {back.d_gate[g]: torch.randn(3, 4, dtype=torch.float64) for g in step.gates}
        L = L + sum((moment.gate[g] * given[back.d_gate[g]]).sum() for g in step.gates)
    d = autograd(L, {**moment.a}), autograd(L, {**moment.q}), autograd(L, moment.old), L
    given |= {step.a[g]: moment.a[g] for g in step.inputs} | {step.q[g]: moment.q[g] for g in step.products}
    given |= {step.old[s]: moment.old[s] for s in step.state}
    given |= {step.v[n]: v for n, v in by_name(call.weights.vectors, step.vectors, 4).items()}
    U = by_name(call.weights.w_hh, step.products, 4)
    for k, stage in reversed(list(enumerate(step.stages))):
        dq = evaluate([back.dq[g] for g in stage.gates], given, TORCH)
        for g, term in zip(stage.gates, dq, strict=True):
            torch.testing.assert_close(term, d[1][g], rtol=1e-12, atol=1e-13)
        given[back.d_p[k]] = sum(term @ U[g] for g, term in zip(stage.gates, dq))
    for derived, expected in ((back.da, d[0]), (back.d_old, d[2])):
        for name, term in zip(derived, evaluate(list(derived.values()), given, TORCH), strict=True):
            torch.testing.assert_close(term.expand(3, 4), expected[name], rtol=1e-12, atol=1e-13)
    if step.vectors:
        dv = torch.cat([term.sum(0) for term in evaluate(list(back.dv.values()), given, TORCH)])
        (expected,) = torch.autograd.grad(L, call.weights.vectors, retain_graph=True)
        torch.testing.assert_close(dv, expected, rtol=1e-12, atol=1e-13)


def autograd(L, wrt):
    return dict(zip(wrt, torch.autograd.grad(L, list(wrt.values()), retain_graph=True)))


def test_a_gate_whose_cotangent_is_given_changes_its_gradient():
    assert adjoint(trace(GRU)) is not adjoint(trace(GRU), of_gates=True)
    assert "d_gate_z" in repr(adjoint(trace(GRU), of_gates=True).da["z"])
    assert "d_gate" not in repr(adjoint(trace(GRU)).da["z"])


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_the_gradient_of_a_stage_needs_only_later_stages(cell):
    from tidegate.calculus.expression import subgraph

    back = adjoint(trace(cell))
    for k, stage in enumerate(trace(cell).stages):
        used = set(subgraph([back.dq[g] for g in stage.gates]))
        assert not used & set(back.d_p[: k + 1])


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_the_saved_values_are_sufficient_and_all_are_used(cell):
    from tidegate.calculus.expression import subgraph

    step, back = trace(cell), adjoint(trace(cell))
    roots = [*back.dq.values(), *back.da.values(), *back.d_old.values(), *back.dv.values()]
    roots += [stage.operand for stage in step.stages]
    known = {*back.saved, *back.d_new.values(), *back.d_p, *step.v.values()}
    reached = subgraph(roots, known)
    assert not [e for e in reached if e.op == "leaf" and e not in known]
    assert not [e for e in reached if e.op in ("tanh", "sigmoid", "exp", "log") and e not in known]
    assert {e for e in back.saved if e in set(reached)} == set(back.saved)


@pytest.mark.parametrize(("cell", "count"), [(RNN, 2), (GRU, 5), (ResetBeforeGRU, 4), (LSTM, 7), (PeepholeLSTM, 8)])
def test_the_number_of_saved_values_is_that_of_a_derivation_by_hand(cell, count):
    """RNN: n, h. GRU: r, z, n, h and U_n h. LSTM: the gates, c, tanh(c') and h; with peepholes c' too."""
    assert len(adjoint(trace(cell)).saved) == count


def test_a_gru_s_backward_step_has_the_form_of_a_textbook():
    text = str(adjoint(trace(GRU)))
    for line in (
        "dz = d_h * (h - n)", "da_z = dz * z * (1 - z)", "dn = d_h * (1 - z)", "da_n = dn * (1 - n^2)",
        "dq_n = da_n * r", "dr = da_n * q_n", "da_r = dr * r * (1 - r)", "d_p0 + d_h * z",
    ):  # fmt: skip
        assert line in text


def test_an_lstm_s_carried_cell_gradient_has_the_form_of_a_textbook():
    text = str(adjoint(trace(LSTM)))
    assert "dc' = d_c + d_h * o * (1 - tanh(c')^2)" in text
    assert "d_c before the step = dc' * f" in text
