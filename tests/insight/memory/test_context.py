"""Losses of truncated contexts, row by row, against the reference engine."""

import numpy as np
import pytest
import torch
from tests.insight.models import Mixer, random_model, scores_alone, tokens

from tidegate.errors import ArgumentError
from tidegate.insight.memory.blocks import spread
from tidegate.insight.memory.context import context_lengths, context_losses
from tidegate.insight.memory.runner import Runner
from tidegate.insight.subject import as_subject


@pytest.mark.parametrize("cell", ["gru", "lstm", Mixer])
def test_each_loss_is_that_of_the_reference_from_the_same_state(cell):
    model, x = random_model(cell, layers=2, seed=4), tokens(5, 1650, seed=1)
    runner = Runner.of(as_subject(model, language_model=True))
    random = np.random.default_rng(6)
    places = spread(20, len(x), 40, random)
    p = places.positions
    states, read = runner.along(x, p - 1, 18)
    steps = []
    found = context_losses(runner, x, places, states, read, np.array([1, 3, 9]), random, steps.append)
    assert sum(steps) == 2 * 13
    assert found.context == read.min()
    for i in range(len(p)):
        j = found.donors[i]
        whole = scores_alone(model, x[p[i] - read[i] : p[i], None])
        assert found.full[i] == pytest.approx(-whole[0, x[p[i]]].item(), rel=1e-5)
        for row, n in enumerate([1, 3, 9]):
            own = x[p[i] - n : p[i]]
            zero = scores_alone(model, own[:, None])
            assert found.zero[row, i] == pytest.approx(-zero[0, x[p[i]]].item(), rel=1e-5)
            other = torch.cat([x[p[j] - read[j] : p[j]], own])  # the state before target j, then the tokens of target i
            donor = scores_alone(model, other[:, None])
            assert found.donor[row, i] == pytest.approx(-donor[0, x[p[i]]].item(), rel=1e-5)


def test_a_donor_is_at_least_a_quarter_of_the_targets_away():
    model, x = random_model("gru"), tokens(5, 1650)
    runner = Runner.of(as_subject(model, language_model=True))
    random = np.random.default_rng(0)
    places = spread(20, len(x), 397, random)
    states, read = runner.along(x, places.positions - 1, 18)
    found = context_losses(runner, x, places, states, read, np.array([1]), random, lambda done: None)
    M = len(places)
    away = (found.donors - np.arange(M)) % M
    assert np.minimum(away, M - away).min() >= M // 4


@pytest.mark.parametrize(
    ("longest", "lengths"),
    [(1, [1]), (2, [1, 2]), (5, [1, 2, 3, 4, 5]), (24, [1, 2, 3, 4, 6, 8, 12, 16, 24]), (50, [1, 2, 3, 4, 6, 8, 12, 16,
     24, 32, 48, 50])],
)  # fmt: skip
def test_lengths_grow_by_a_half_or_a_third_up_to_the_longest(longest, lengths):
    assert context_lengths(longest).tolist() == lengths


def test_a_longest_of_zero_is_an_error():
    with pytest.raises(ArgumentError, match="`longest` must be at least 1, got 0"):
        context_lengths(0)
