"""The swap test, against the reference engine on the whole sequence with the token replaced."""

import numpy as np
import pytest
import torch
from tests.insight.models import Mixer, random_model, repeating, scores_alone, shift_register, tokens

from tidegate.cells import CELLS
from tidegate.errors import ArgumentError
from tidegate.insight.memory.blocks import spread
from tidegate.insight.memory.horizon import memory_horizon
from tidegate.insight.memory.runner import Runner
from tidegate.insight.memory.swap import another, swap_test
from tidegate.insight.subject import as_subject

LAGS = np.array([1, 2, 5, 9])


@pytest.mark.parametrize("cell", [*CELLS, Mixer])
def test_the_divergence_is_that_of_the_reference_with_the_token_replaced(cell):
    model, x = random_model(cell, layers=2, seed=7), tokens(5, 1650, seed=8)
    model.head.weight.data *= 4
    runner = Runner.of(as_subject(model, language_model=True))
    places = spread(50, len(x), 8, np.random.default_rng(1))
    built_from = {}

    def reach(positions):
        states, read = runner.along(x, positions, 20)
        built_from.update(zip(positions.tolist(), read.tolist()))
        return states

    found = swap_test(runner, x, places, LAGS, reach, np.random.default_rng(2), lambda done: None, None)
    twin = np.random.default_rng(2)
    for i, k in enumerate(LAGS):
        drawn = another(x[places.positions - k], x, twin)
        divergences = []
        for t, token in zip(places.positions.tolist(), drawn):
            begin = t - k - built_from[t - k - 1]
            other = x[begin:t].clone()
            other[-k] = token
            p, q = (scores_alone(model, tokens[:, None]) for tokens in (x[t - built_from[t - 1] : t], other))
            divergences.append(torch.nn.functional.kl_div(q, p, reduction="sum", log_target=True).item())
        assert found.kl[i] == pytest.approx(np.mean(divergences), rel=2e-4, abs=1e-9)
        expected = np.std(divergences, ddof=1) / np.sqrt(len(divergences))
        assert found.kl_error[i] == pytest.approx(expected, rel=2e-3, abs=1e-9)
    assert found.targets == 8


def test_a_shift_register_is_changed_only_by_the_token_in_the_slot_that_is_read():
    found = memory_horizon(shift_register(4, 3, 2.0), repeating(4, 3, 1800, seed=1), longest=8, targets=200).swap
    assert found.lags.tolist() == [1, 2, 3, 4, 6, 8]
    p = np.exp(2.0) / (np.exp(2.0) + 3)
    expected = 2.0 * (p - (1 - p) / 3)  # sum_w p ln(p / p'), where p' has the score at another token
    np.testing.assert_allclose(found.kl, [0, 0, expected, 0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(found.change, np.sqrt(2) * (found.lags <= 3), atol=1e-6)  # one slot of two one-hots
    assert found.norm == pytest.approx(np.sqrt(3))
    assert found.fades == 4


def test_the_replacement_is_another_token_drawn_as_often_as_in_the_text():
    x = torch.tensor([0] * 600 + [1] * 300 + [2] * 100)
    random = np.random.default_rng(3)
    drawn = another(torch.zeros(20000, dtype=torch.long), x, random)
    shares = torch.bincount(drawn, minlength=3) / 20000
    np.testing.assert_allclose(shares, [0, 0.75, 0.25], atol=0.02)
    assert (another(x, x, random) != x).all()


def test_a_text_of_one_token_has_no_replacement():
    with pytest.raises(ArgumentError, match="at least 2 different tokens, got 9 times the index 4"):
        another(torch.tensor([4]), torch.full((9,), 4), np.random.default_rng(0))
