"""Statistics of gates against a trace, and time constants against gates held at known values."""

import numpy as np
import pytest
import torch
from tests.insight.small import make_layer

import tidegate
from tidegate.insight import gates


def test_statistics_are_those_of_the_trace(cell):
    layer = make_layer(cell, layers=2, bidirectional=True, scale=3.0)
    x = torch.randn(50, 2, 3, dtype=torch.float64)
    found, traced = gates(layer, x), tidegate.trace(layer, x)
    assert set(found.mean) | set(found.state_sd) == set(traced)
    assert found.values == 100
    for name in found.mean:
        values = traced[name].flatten(0, 1).numpy()
        np.testing.assert_allclose(found.mean[name], values.mean(0), atol=1e-12)
        np.testing.assert_allclose(found.sd[name], values.std(0), atol=1e-12)
        assert found.histogram[name].sum() == values.size
        if name in found.closed:
            assert (found.low[name], found.high[name]) == (0, 1)
            np.testing.assert_allclose(found.closed[name], (values < 0.1).mean(0))
            np.testing.assert_allclose(found.open[name], (values > 0.9).mean(0))
        if name in found.saturated:
            np.testing.assert_allclose(found.saturated[name], (np.abs(values) > 0.97).mean(0))


@pytest.mark.parametrize(("cell", "gate", "state", "kept"), [
    ("lstm", "f", "c", lambda v: v), ("gru", "z", "h", lambda v: v),
    ("reset-before-gru", "z", "h", lambda v: v), ("own", "f", "h", lambda v: 1 - v),
])  # fmt: skip
def test_time_constants_follow_the_gate_that_keeps_the_state(cell, gate, state, kept):
    layer = make_layer(cell)
    for name, part in layer.gate_parameters(gate).items():
        with torch.no_grad():
            part.fill_(0)
            if name == "bias_ih_l0":
                part.copy_(torch.linspace(-2, 3, 5))
    found = gates(layer, torch.randn(20, 1, 3, dtype=torch.float64))
    value = kept(1 / (1 + np.exp(-np.linspace(-2, 3, 5))))
    np.testing.assert_allclose(found.retention[f"{state}_l0"], value, rtol=1e-12)
    np.testing.assert_allclose(found.time_constant[f"{state}_l0"], -1 / np.log(value), rtol=1e-9)


def test_a_cell_without_a_direct_path_has_no_time_constants_and_a_residual_one_keeps_all():
    x = torch.randn(20, 1, 3, dtype=torch.float64)
    assert not gates(make_layer("rnn"), x).time_constant
    assert np.isinf(gates(make_layer("residual"), x).time_constant["h_l0"]).all()


def test_a_unit_that_never_changes_is_dead():
    layer = make_layer("rnn-relu")
    with torch.no_grad():
        layer.bias_ih_l0.fill_(5.0)
        layer.bias_ih_l0[2] = -1e3
    found = gates(layer, torch.randn(50, 1, 3, dtype=torch.float64))
    assert found.dead["h_l0"].tolist() == [2]


def test_a_gate_that_is_held_open_is_open_in_every_step():
    layer = make_layer("gru")
    with torch.no_grad():
        layer.gate_parameters("z")["bias_ih_l0"].fill_(50.0)
    found = gates(layer, torch.randn(50, 1, 3, dtype=torch.float64))
    assert (found.open["z_l0"] == 1).all()
    assert (found.closed["z_l0"] == 0).all()


def test_a_state_that_is_constant_in_every_unit_is_dead():
    layer = make_layer("rnn")
    with torch.no_grad():
        layer.bias_ih_l0.fill_(40.0)
    found = gates(layer, torch.randn(50, 1, 3, dtype=torch.float64), warmup=1)
    assert found.dead["h_l0"].tolist() == [0, 1, 2, 3, 4]
    assert (found.saturated["n_l0"] == 1).all()
