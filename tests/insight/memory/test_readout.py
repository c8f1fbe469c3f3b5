"""The linear readout: of networks and sources whose R^2 is known in closed form."""

import numpy as np
import pytest
import torch
from tests.insight.models import Mixer, random_model, shift_register, tokens

import tidegate
from tidegate.cells import CELLS
from tidegate.insight.memory import readout
from tidegate.insight.memory.horizon import memory_horizon
from tidegate.insight.memory.readout import Ridge, as_classes, linear_readout, parts, readout_positions


class Leaky(tidegate.Cell):
    """h' = W x + b + U h + c: a linear network."""

    gates = ("n",)
    state = ("h",)

    def equations(a, U, h):
        n = a.n + U.n(h)
        return (n,), (n,)


def leaky(keep):
    """h' = keep h + (1 or -1), for two tokens."""
    model = tidegate.LanguageModel(Leaky, 2, 1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.recurrent.weight_ih_l0[:] = torch.tensor([[1.0, -1.0]])
        model.recurrent.weight_hh_l0[:] = keep
    return model


def measured(model, x, longest=40):
    return memory_horizon(model, x, longest=longest, targets=16).readout


@pytest.mark.parametrize("slots", [1, 3, 7])
def test_a_shift_register_has_its_slots_as_capacity(slots):
    found = measured(shift_register(3, slots, 1.0), tokens(3, 9000, seed=slots))
    assert found.lags.tolist() == list(range(10))
    np.testing.assert_allclose(found.r2[:slots], 1, atol=1e-6)
    np.testing.assert_allclose(found.r2[slots:], 0, atol=0.01)
    assert found.capacity == pytest.approx(slots, abs=0.02)
    assert found.token_capacity == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("keep", [0.3, 0.8])
def test_a_leaky_linear_unit_has_the_capacity_of_the_closed_form(keep):
    found = measured(leaky(keep), tokens(2, 12000, seed=3))
    k = np.arange(10)
    np.testing.assert_allclose(found.r2, (1 - keep**2) * keep ** (2 * k), atol=0.03)
    assert (np.abs(found.r2 - (1 - keep**2) * keep ** (2 * k)) < 4 * found.error + 0.005).all()


def test_without_memory_a_token_predicts_earlier_ones_as_a_markov_chain_does():
    random = np.random.default_rng(1)
    flips = np.cumsum(random.random(12000) < 0.1) % 2
    found = measured(leaky(0.5), torch.from_numpy(flips))
    np.testing.assert_allclose(found.from_token, 0.8 ** (2 * np.arange(10)), atol=0.06)


def test_the_regression_solves_the_normal_equations():
    random = np.random.default_rng(2)
    X, y = random.normal(size=(90, 4)) + 3, random.integers(3, size=90)
    ridge = Ridge(torch.from_numpy(X), (40, 60), 3)
    ((squares, total),) = ridge.residuals(ridge.final, torch.from_numpy(y), (0.01,), 60, 90)
    Xc, Y = X[:60] - X[:60].mean(0), np.eye(3)[y]
    m = Y[:60].mean(0)
    C = Xc.T @ Xc
    W = np.linalg.solve(C + 0.01 * np.trace(C) / 4 * np.eye(4), Xc.T @ (Y[:60] - m))
    guess = m + (X[60:] - X[:60].mean(0)) @ W
    np.testing.assert_allclose(squares, ((Y[60:] - guess) ** 2).sum(1), rtol=1e-9)
    np.testing.assert_allclose(total, ((Y[60:] - m) ** 2).sum(1), rtol=1e-9)


def test_the_penalty_is_the_best_on_the_part_that_chooses_it():
    random = np.random.default_rng(3)
    X = random.normal(size=(900, 9))
    clean, noise = (X[:, 0] > 0).astype(int), random.integers(2, size=900)
    ridge = Ridge(torch.from_numpy(X), (400, 600), 2)
    r2, _, weak = ridge.regress(torch.from_numpy(clean))
    null, _, strong = ridge.regress(torch.from_numpy(noise))
    assert weak < 1 <= strong
    assert r2 > 0.3
    assert abs(null) < 0.1


def test_rare_tokens_are_one_class(monkeypatch):
    x = torch.tensor([7] * 5 + [2] * 9 + [4] * 3 + [9, 1])
    classes, count = as_classes(x)
    assert classes[:17].tolist() == [1] * 5 + [0] * 9 + [2] * 3
    assert sorted(classes[17:].tolist()) == [3, 4]
    assert count == 5
    monkeypatch.setattr(readout, "CLASSES", 2)
    classes, count = as_classes(x)
    assert classes.tolist() == [1] * 5 + [0] * 9 + [2] * 5
    assert count == 3


def test_the_parts_are_separated_by_the_longest_lag():
    fit, choose, measure = parts(256, 9000, 64)
    assert (fit.start, measure.stop) == (256, 9000)
    assert choose.start - fit.stop == measure.start - choose.stop == 64
    assert len(fit) > 2 * len(choose)
    assert len(measure) > 0.3 * 8700


def test_positions_are_in_order_in_their_parts_and_all_where_there_are_few():
    random = np.random.default_rng(0)
    positions, split = readout_positions(256, 40000, 64, 10, random)
    assert split == (3000, 4000)
    assert len(positions) == 6000
    assert (np.diff(positions) > 0).all()
    for part, own in zip(parts(256, 40000, 64), np.split(positions, split)):
        assert part.start <= own[0] < own[-1] < part.stop
    few, split = readout_positions(8, 1700, 2, 900, random)
    assert len(few) == sum(map(len, parts(8, 1700, 2)))
    assert split[0] == len(parts(8, 1700, 2)[0])


def test_the_error_is_about_the_spread_over_texts():
    found = [measured(leaky(0.8), tokens(2, 4000, seed=seed), longest=16) for seed in range(20)]
    spread = np.std([each.r2 for each in found], axis=0)
    errors = np.median([each.error for each in found], axis=0)
    np.testing.assert_allclose(errors[1:], spread[1:], rtol=0.6)


@pytest.mark.parametrize("cell", [*CELLS, Mixer])
def test_the_features_are_all_states_of_the_top_layer(cell):
    model = random_model(cell, layers=2)
    found = measured(model, tokens(5, 1700), longest=8)
    assert found.states == tuple(f"{s}_l1" for s in model.step.state)
    assert np.isfinite(found.r2).all()
    assert found.measured >= 400


def test_a_state_without_variance_has_no_readout():
    x = tokens(3, 200)
    found = linear_readout(torch.ones(100, 4), x, np.arange(100, 200), (50, 60), 3, ("h_l0",), None)
    assert (np.abs(found.r2) < 0.2).all()
