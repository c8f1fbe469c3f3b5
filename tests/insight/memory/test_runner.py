"""Runs from chosen states, against the reference engine in float64 on each slice alone."""

import numpy as np
import pytest
import torch
from tests.insight.models import Mixer, random_model, scores_alone, tokens

from tidegate.cells import CELLS
from tidegate.insight.memory import runner
from tidegate.insight.memory.runner import Runner, at, ending_before
from tidegate.insight.subject import as_subject

CELL = [*CELLS, Mixer]


def run_of(model):
    return Runner.of(as_subject(model, language_model=True))


@pytest.mark.parametrize("cell", CELL)
@pytest.mark.parametrize("layers", [1, 2])
def test_a_recorded_state_is_that_of_the_reference_on_the_tokens_that_it_was_built_from(cell, layers):
    model, x = random_model(cell, layers=layers), tokens(5, 613)
    positions = np.array([30, 31, 100, 99, 250, 611, 612, 31])
    states, read = run_of(model).along(x, positions, 24)
    for i, (p, n) in enumerate(zip(positions, read)):
        expected = scores_alone(model, x[p + 1 - n : p + 1, None])
        torch.testing.assert_close(run_of(model).log_p(at(states, [i])), expected, rtol=1e-4, atol=2e-5)


def test_a_recorded_state_was_built_from_all_tokens_or_from_enough():
    x, positions = tokens(5, 2011), np.arange(2011)
    _, read = run_of(random_model("gru")).along(x, positions, 24)
    assert (read <= positions + 1).all()
    assert ((read == positions + 1) | (read > 24)).all()
    assert (read[40:] > 24).all()


def test_runs_in_pieces_have_the_same_states(monkeypatch):
    model, x = random_model("lstm", layers=2), tokens(5, 700)
    positions = np.array([40, 500, 699])
    whole, _ = run_of(model).along(x, positions, 20)
    window = ending_before(x, positions, 33)
    read = run_of(model).read(window, whole)
    nats = run_of(model).nats(whole, x[positions])
    monkeypatch.setattr(runner, "AT_ONCE", 50)
    for a, b in zip(whole, run_of(model).along(x, positions, 20)[0]):
        assert torch.equal(a, b)
    for a, b in zip(read, run_of(model).read(window, whole)):
        assert torch.equal(a, b)
    np.testing.assert_allclose(run_of(model).nats(whole, x[positions]), nats, rtol=1e-6)


def test_the_tokens_before_a_position_end_with_the_one_just_before_it():
    x = torch.arange(50)
    assert ending_before(x, np.array([7, 20]), 3).T.tolist() == [[4, 5, 6], [17, 18, 19]]


def test_the_model_is_not_changed_and_its_dropout_does_not_act():
    model = random_model("gru", layers=2, dropout=0.5).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x = tokens(5, 300)
    first, second = (run_of(model).along(x, np.array([200]), 20)[0][0] for _ in range(2))
    assert torch.equal(first, second)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
