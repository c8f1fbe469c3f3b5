"""Every mistake that is looked for is found where it is planted, in every cell; and none is found where none fits."""

import json
from functools import partial

import numpy as np
import pytest
from tests.verification.student.programs import gru, lstm, rnn
from tests.verification.test_arrays import EVERY

from tidegate.calculus import trace
from tidegate.cells import GRU, LSTM, RNN
from tidegate.verification import judge
from tidegate.verification.arrays import as_arrays, as_problem
from tidegate.verification.numbers import by_equations
from tidegate.verification.problem import random_problem
from tidegate.verification.student.backward import backward_mistakes
from tidegate.verification.student.forward import forward_mistakes
from tidegate.verification.student.trajectory import start_of, sweep

SIZES = (3, 2, 2, 3)


def program(blocks, cell):
    """A function that returns the blocks as whole tensors."""
    names = [name for name in dict.fromkeys(name for name, _ in blocks) if name[0] != "y"]
    required = [f"d{name}" for name in as_arrays(random_problem(cell, sizes=SIZES)) if name != "dy"]
    whole = {n: np.concatenate([block for (name, _), block in blocks.items() if name == n]) for n in names}
    return lambda arrays: {name: whole[name] for name in required}


@pytest.mark.parametrize("cell", EVERY)
def test_the_right_gradients_are_those_of_autograd(cell):
    problem = as_problem(cell, as_arrays(random_problem(cell, sizes=SIZES, seed=6)))
    found, expected = sweep(start_of(problem)).blocks, by_equations(problem)
    letters = {"dweight_ih": "dW_ih", "dweight_hh": "dW_hh", "dbias_ih": "db_ih", "dbias_hh": "db_hh", "dvector": "dv"}
    step, seen = trace(cell), set()
    for (name, gate), array in found.items():
        if gate or name in ("dx", *(f"d{s}_0" for s in step.state)):
            key = "total", f"{letters.get(name, name)}[{gate}]" if gate else name
        elif name[:3] in ("da_", "dq_"):
            key = name[:2], name[3:]
        else:
            key = ("state", step.state[0]) if name == "y" else ("d_state", name[1:])
        np.testing.assert_allclose(array, expected[key], rtol=1e-10, atol=1e-13)
        seen.add(key)
    assert {key for key in expected if key[0] == "total" and key[1][0] == "d"} <= seen


@pytest.mark.parametrize("cell", EVERY)
def test_planted_mistakes_of_different_kinds_are_found_in_every_cell(cell):
    start = start_of(as_problem(cell, as_arrays(random_problem(cell, sizes=SIZES, seed=6))))
    every = [*backward_mistakes(start), *forward_mistakes(start)]
    assert len(every) > 30
    tried = 0
    for hypothesis in every[EVERY.index(cell) :: len(every) // 3]:
        blocks = hypothesis.compute().blocks
        found = judge(cell, program(blocks, cell), sizes=SIZES, seed=6)
        if found.passed:
            continue  # this mistake changes nothing in this cell
        tried += 1
        assert len(found.diagnosis.found) == 1, hypothesis.mistake
        assert found.diagnosis.found[0].distance < 1e-9
        assert not found.diagnosis.unexplained
    assert tried


def test_wrong_numbers_of_no_known_mistake_are_not_explained():
    random = np.random.default_rng(3)

    def wrong(arrays):
        found = rnn(arrays)
        return found | {"dweight_hh": found["dweight_hh"] + random.normal(size=(3, 3))}

    found = judge(RNN, wrong, sizes=SIZES)
    assert not found.passed
    assert not found.diagnosis.found
    assert found.diagnosis.unexplained == (("dweight_hh", "n"),)
    assert "No mistake that is known here gives your dweight_hh." in str(found)
    assert "A sequence of one step is already wrong in dweight_hh" in str(found)


def test_two_mistakes_at_once_are_both_named():
    def wrong(arrays):
        found = lstm(arrays, "dc of the next step left out")
        return found | {name: found[name] / 3 for name in ("dweight_ih", "dweight_hh", "dbias_ih", "dbias_hh")}

    found = judge(LSTM, wrong, sizes=(4, 3, 2, 5))
    kinds = [each.mistake.kind for each in found.diagnosis.found]
    assert kinds == ["missing gradient of the next step's c", "mean instead of sum over the batch"]
    assert "Likely mistake 2: mean instead of sum over the batch (in dweight_ih, dweight_hh, dbias_ih" in str(found)


def test_a_mistake_in_one_gate_is_reported_for_that_gate():
    def wrong(arrays):
        found = gru(arrays)
        found["dweight_hh"][5:10] *= -1
        return found

    found = judge(GRU, wrong, sizes=(4, 3, 2, 5))
    (finding,) = (finding for finding in found.findings if not finding.passed)
    assert (finding.name, finding.gates) == ("dweight_hh", ("z",))
    assert found.diagnosis.found[0].mistake.kind == "wrong sign"
    assert found.diagnosis.found[0].blocks == (("dweight_hh", "z"),)


def test_the_step_of_the_first_departure_is_named_from_stepwise_gradients_and_from_shorter_sequences():
    def wrong(arrays):
        found = rnn(arrays, "stepwise")
        for t in range(3):
            found["dx"][t] += 1e-3
        return found

    found = judge(RNN, wrong)
    (finding,) = (finding for finding in found.findings if not finding.passed)
    assert finding.steps == (0, 1, 2)
    assert "dx is the first wrong tensor: at t = 2 (it is right at t = 3 to 6)" in str(found)
    assert finding.worst is not None
    index, expected, got = finding.worst
    assert got - expected == pytest.approx(1e-3)
    assert index[0] < 3
    found = judge(RNN, partial(rnn, mistake="last step only"))
    assert "Sequences of 1 step are right, those of 2 are wrong in dweight_ih" in str(found)
    found = judge(RNN, partial(rnn, mistake="first sequence only"))
    assert "with the first sequence alone it is right, so it is in the sum over the batch" in str(found)
    found = judge(RNN, partial(rnn, mistake="zero initial state"))
    assert "already wrong" in str(found)


def test_stepwise_gradients_and_outputs_may_be_returned_and_are_judged():
    assert judge(RNN, partial(rnn, mistake="stepwise")).passed

    def wrong(arrays):
        found = rnn(arrays, "stepwise")
        return found | {"y": found["y"] + 1e-3, "dh": found["dh"] - arrays["dy"]}

    found = judge(RNN, wrong)
    assert [f.name for f in found.findings if not f.passed] == ["y", "dh"]
    assert "The outputs y are wrong" in str(found)
    kinds = {each.mistake.kind: each.blocks for each in found.diagnosis.found}
    assert kinds["missing gradient of the step itself"] == (("dh", ""),)


def test_the_judgement_is_json_too():
    found = json.loads(json.dumps(judge(GRU, partial(gru, mistake="no derivative of z")).as_dict()))
    assert found["passed"] is False
    assert found["mistakes"][0]["kind"] == "missing derivative of an activation function"
    assert found["tensors"][0].keys() >= {"name", "error", "worst", "wrong_steps"}
    assert json.loads(json.dumps(judge(GRU, gru).as_dict()))["passed"] is True
