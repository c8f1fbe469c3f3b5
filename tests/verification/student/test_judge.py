"""Programs written by hand are judged: right ones pass, and the mistake of each wrong one is named."""

from functools import partial

import pytest
from tests.verification.student.programs import Leaky, gru, leaky, lstm, rnn

from tidegate.cells import GRU, LSTM, RNN
from tidegate.verification import judge
from tidegate.verification.arrays import as_arrays
from tidegate.verification.problem import random_problem

PROGRAMS = {"rnn": (RNN, rnn), "gru": (GRU, gru), "lstm": (LSTM, lstm), "own": (Leaky, leaky)}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_right_program_passes(name):
    cell, program = PROGRAMS[name]
    for sizes in ((7, 3, 4, 5), (1, 1, 1, 1), (3, 2, 5, 5)):
        found = judge(cell, program, sizes=sizes, seed=9)
        assert found.passed, str(found)
        assert not found.where
        assert not found.diagnosis.found


OF_ALL = {
    "last step only": ("missing sum over t", "last step"),
    "first step only": ("missing sum over t", "first step"),
    "without step 0": ("a step is left out of the sum over t", "first step, t = 0"),
    "first sequence only": ("missing sum over the batch", "first sequence"),
    "mean over t": ("mean instead of sum over t", "divided by T = 7"),
    "mean over batch": ("mean instead of sum over the batch", "divided by B = 3"),
    "twice": ("wrong factor", "2 times the right one"),
}


@pytest.mark.parametrize("mistake", OF_ALL)
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_mistake_in_a_sum_is_named_for_every_cell(name, mistake):
    cell, program = PROGRAMS[name]
    kind, words = OF_ALL[mistake]
    found = judge(cell, partial(program, mistake=mistake), seed=9)
    (each,) = found.diagnosis.found
    assert each.mistake.kind == kind
    assert words in each.mistake.text
    assert {block[0] for block in each.blocks} == {"dweight_ih", "dweight_hh", "dbias_ih", "dbias_hh"}
    assert not found.passed
    assert not found.diagnosis.unexplained
    assert [f.name for f in found.findings if f.passed][:2] == ["dx", "dh_0"]


OF_A_CELL = [
    ("rnn", "no recurrence", "missing recurrent term", "only dy_t enters"),
    ("rnn", "wrong sign", "wrong sign of the recurrent term", "must be added"),
    ("rnn", "U transposed", "transposed weight", "not by its transpose, for gate n; expected U_n^T dq_n"),
    ("rnn", "dU transposed", "transposed weight", "the gradient is transposed"),
    ("rnn", "h_t in dU", "h_t in the place of h_{t-1}", "h of step t, after the step; expected h of step t"),
    ("rnn", "no derivative", "missing derivative of an activation function", "of tanh, 1 - n^2, is left out of da_n"),
    ("rnn", "derivative from h_{t-1}", "h_{t-1} in the place of h_t", "from h_{t-1}, before the step"),
    ("rnn", "tanh twice", "wrong derivative of an activation function", "once more inside its derivative"),
    ("rnn", "derivative of sigmoid", "wrong derivative of an activation function", "of sigmoid, not of tanh"),
    ("rnn", "1 + h^2", "wrong derivative of an activation function", "1 + n^2 has the wrong sign"),
    ("rnn", "no derivative in the recurrence", "missing derivative of an activation function",
     "of gate n is left out of what comes back from step t + 1, but is there in the gradients of the weights"),
    ("rnn", "truncated 1", "truncated backpropagation", "over 1 step only, to step t - 1"),
    ("rnn", "truncated 3", "truncated backpropagation", "over 3 steps only, to step t - 3"),
    ("rnn", "dy of the last step only", "dy of the last step only", "at every step"),
    ("rnn", "dx reversed", "steps in reverse order", "T - 1 - t"),
    ("rnn", "zero initial state", "missing initial state", "h_0"),
    ("rnn", "U transposed in the forward pass", "transposed weight", "in the forward pass, U is transposed"),
    ("rnn", "no bias_hh", "missing bias", "bias_hh is left out"),
    ("gru", "no derivative of z", "missing derivative of an activation function", "z * (1 - z), is left out of da_z"),
    ("gru", "no derivative of n", "missing derivative of an activation function", "1 - n^2, is left out of da_n"),
    ("gru", "r left out of dq_n", "missing factor", "the factor r is left out of dq_n"),
    ("gru", "sign of dz", "wrong sign", "the term of da_z has the wrong sign; expected dz * z * (1 - z)"),
    ("gru", "direct path left out", "missing term", "the term d_h * z is left out of dh"),
    ("gru", "U_z left out", "missing recurrent term", "for gate z; expected U_z^T dq_z"),
    ("gru", "U transposed", "transposed weight", "for every gate; expected U_r^T dq_r + U_z^T dq_z + U_n^T dq_n"),
    ("gru", "reset before", "equations of another cell", "those of reset-before-gru"),
    ("gru", "other convention", "gate in the other convention", "1 - z is written where z belongs"),
    ("gru", "gates z, r, n", "gates in another order", "in the order z, r, n; their order is r, z, n"),
    ("lstm", "dc of the next step left out", "missing gradient of the next step's c", "expected dc' * f, all of"),
    ("lstm", "f left out of dc", "missing factor", "the factor f is left out of dc"),
    ("lstm", "dh left out of dc", "missing term", "is left out of d"),
    ("lstm", "no derivative of tanh(c)", "missing derivative of an activation function", "is left out of dc'"),
    ("lstm", "derivative of tanh for sigmoid", "wrong derivative of an activation function", "of tanh, not of sigmoid"),
    ("lstm", "no tanh of c", "missing activation function", "tanh is left out; expected tanh(c')"),
    ("gru", "no derivative in the recurrence", "missing derivative of an activation function",
     "of every gate is left out of what comes back from step t + 1"),
    ("gru", "z of step t - 1", "value of another step", "in dh, z of step t - 1 is read where z of step t belongs"),
    ("lstm", "no tanh in do", "missing activation function", "in do, tanh is left out of the factor tanh(c')"),
    ("lstm", "f of step t - 1", "value of another step", "in dc, f of step t - 1 is read where f of step t belongs"),
    ("lstm", "f of step t + 1", "value of another step", "in dc, f of step t + 1 is read where f of step t belongs"),
    ("lstm", "i and f exchanged", "gates exchanged in the backward pass", "f is read where i belongs"),
    ("lstm", "rows of i and f exchanged", "gates exchanged in the backward pass", "da_i and da_f stand in"),
    ("lstm", "dh_0 zero", "gradient is zero", "zero"),
    ("lstm", "c_t in df", "h_t in the place of h_{t-1}", "c_t is read where c_{t-1}, before the step, belongs"),
    ("own", "no derivative of k", "missing derivative of an activation function", "k * (1 - k), is left out of da_k"),
    ("own", "U left out", "missing recurrent term", "for gate n; expected U_n^T dq_n"),
    ("own", "h / 2 left out", "missing term", "d_h is left out of d(h / 2)"),
    ("own", "dm of the next step left out", "missing gradient of the next step's m", "comes back from m of step t + 1"),
    ("own", "k left out of dx", "missing term", "the term W_k^T da_k of gate k is left out"),
    ("own", "m_t in dk", "h_t in the place of h_{t-1}", "m_t is read where m_{t-1}"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "mistake", "kind", "words"), OF_A_CELL)
def test_a_mistake_of_one_cell_is_named_with_its_place(name, mistake, kind, words):
    cell, program = PROGRAMS[name]
    found = judge(cell, partial(program, mistake=mistake), seed=9)
    assert not found.passed
    assert len(found.diagnosis.found) == 1, str(found)
    every = [found.diagnosis.found[0].mistake, *found.diagnosis.alternatives]
    assert any(m.kind == kind and words in m.text for m in every), str(found)
    assert not found.diagnosis.unexplained
    assert found.diagnosis.found[0].distance < 1e-9


def test_gates_that_are_saturated_are_judged_with_tolerance_for_rounding():
    arrays = as_arrays(random_problem(LSTM, sizes=(4, 2, 3, 5), seed=9))
    arrays["bias_ih"][:10] += 36.0  # input and forget gate at 1 - 2e-16
    found = judge(LSTM, lstm, arrays=arrays)
    assert found.passed, str(found)
    assert not judge(LSTM, partial(lstm, mistake="no tanh of c"), arrays=arrays).passed
