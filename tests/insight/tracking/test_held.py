"""Losses with held units, against a loop over steps and layers with the reference engine in float64."""

import numpy as np
import pytest
import torch
from tests.insight.planted import random_model
from torch.nn.functional import log_softmax

from tidegate import Cell, Recurrent, tanh
from tidegate.insight.tracking import held
from tidegate.insight.tracking.held import held_losses, readout_extra
from tidegate.insight.tracking.states import Network, unit_states
from tidegate.text import Vocabulary

T, R, H, V = 9, 3, 5, 4
WARMUP = 2
STEPS = range(WARMUP, T, 3)
VARIANTS = [(), ((0, 1),), ((1, 4),), ((0, 1), (1, 0)), ((0, 1), (0, 3))]


class Momentum(Cell):
    """The second state, too, is an operand of the recurrent product."""

    gates = ("n",)
    state = ("h", "m")

    def equations(a, U, h, m):
        n = tanh(a.n + U.n(m - 0.3 * h))
        k = 0.5 * m + n
        return (tanh(k), k), (n,)


def case(cell):
    vocabulary = Vocabulary.build("abc")
    model = random_model(cell, vocabulary, H, layers=2, scale=2.0)
    generator = np.random.default_rng(0)
    x, y = (torch.from_numpy(generator.integers(0, V, (T, R))) for _ in range(2))
    network = Network.of(model.recurrent, model.head)
    return network, x, y, generator.normal(size=(2, len(model.step.state), H))


def single_layers(network):
    """Each layer of the stack as a layer of its own on the reference engine, in float64."""
    found = []
    for k in range(2):
        own = Recurrent(network.step, V if k == 0 else H, H, engine="reference").double()
        values = {n[:-1] + "0": p for n, p in network.layer.state_dict().items() if n.endswith(f"_l{k}")}
        own.load_state_dict({name: value.double() for name, value in values.items()})
        found.append(own)
    return found


@torch.no_grad()
def expected(network, x, y, variant, values):
    values = np.broadcast_to(values, (T, R, *values.shape[-3:])).copy()
    layers, head = single_layers(network), network.head.double()
    many, states, losses = len(network.step.state), [None, None], []
    for t in range(T):
        below = torch.nn.functional.one_hot(x[t : t + 1], V).double()
        for k in range(2):
            _, state = layers[k](below, states[k])
            state = list(state) if many > 1 else [state]
            for s in range(many):
                for layer, unit in variant:
                    if layer == k:
                        state[s][0, :, unit] = torch.from_numpy(values[t, :, k, s, unit])
            states[k] = tuple(state) if many > 1 else state[0]
            below = state[0]
        losses.append(-log_softmax(head(below[0]), -1)[torch.arange(R), y[t]])
    network.head.float()
    return torch.stack(losses).numpy()


def test_a_held_unit_has_its_value_for_the_scores_the_layer_above_and_the_next_step(cell, monkeypatch):
    network, x, y, values = case(cell)
    monkeypatch.setattr(held, "ROWS", 2 * R)  # several batches
    found = held_losses(network, x, y, VARIANTS, values, STEPS)
    assert found.shape == (5, len(STEPS), R)
    for variant, losses in zip(VARIANTS, found, strict=True):
        np.testing.assert_allclose(losses, expected(network, x, y, variant, values)[STEPS], atol=2e-5)
    assert abs(found[1:] - found[0]).max() > 1e-3


def test_every_state_of_a_unit_is_held():
    network, x, y, values = case(Momentum)
    found = held_losses(network, x, y, VARIANTS, values, range(T))
    for variant, losses in zip(VARIANTS, found, strict=True):
        np.testing.assert_allclose(losses, expected(network, x, y, variant, values), atol=2e-5)


def test_a_held_unit_can_have_another_value_at_every_step_and_row(cell):
    network, x, y, means = case(cell)
    values = np.random.default_rng(1).normal(size=(T, R, *means.shape))
    variant = ((0, 1), (1, 4), (1, 0))
    found = held_losses(network, x, y, [((0, 2),), variant], values, range(T))[1]
    np.testing.assert_allclose(found, expected(network, x, y, variant, values), atol=2e-5)


def test_holding_for_the_scores_changes_nothing_else(cell):
    network, x, y, values = case(cell)
    found = readout_extra(network, x, y, [0, 4], values, STEPS)
    h = network.layer(x)[0].detach().double().clone()[STEPS]
    head = network.head.double()
    for unit, extra in zip([0, 4], found, strict=True):
        changed = h.clone()
        changed[..., unit] = values[1, 0, unit]
        scores = [log_softmax(head(own), -1).gather(-1, y[STEPS, :, None])[..., 0] for own in (h, changed)]
        np.testing.assert_allclose(extra, (scores[0] - scores[1]).detach().numpy(), atol=2e-5)


def test_states_are_in_the_order_of_the_columns(cell, monkeypatch):
    network, x, _, _ = case(cell)
    monkeypatch.setattr("tidegate.insight.tracking.states.CHUNK", 4)
    found = unit_states(network, x, WARMUP)
    columns = network.columns()
    assert found.shape == (R, T - WARMUP, len(columns))
    _, final = network.layer(x)
    final = final if isinstance(final, tuple) else (final,)
    for u, (layer, state, unit) in enumerate(columns):
        np.testing.assert_allclose(found[:, -1, u], final[state][layer, :, unit], atol=1e-6)
    shorter = unit_states(network, x[:6], WARMUP)
    np.testing.assert_allclose(found[:, : 6 - WARMUP], shorter, atol=1e-6)


@pytest.mark.parametrize("warmup", [0, 3, 5])
def test_the_warm_up_is_left_out_wherever_it_ends(monkeypatch, warmup):
    network, x, _, _ = case("gru")
    whole = unit_states(network, x, 0)
    monkeypatch.setattr("tidegate.insight.tracking.states.CHUNK", 4)
    np.testing.assert_allclose(unit_states(network, x, warmup), whole[:, warmup:], atol=1e-6)
