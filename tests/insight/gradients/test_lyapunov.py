"""Lyapunov exponents against maps and networks whose exponents are known."""

import numpy as np
import pytest
import torch
from tests.insight.small import make_layer

import tidegate
from tidegate.errors import ArgumentError, ShapeError
from tidegate.insight import lyapunov
from tidegate.insight.gradients.linear import linearise
from tidegate.insight.gradients.lyapunov import block_error
from tidegate.insight.recording import record
from tidegate.insight.subject import as_subject


class Linear(tidegate.Cell):
    gates = ("n",)
    state = ("h",)

    def equations(a, U, h):
        n = a.n + U.n(h)
        return (n,), (n,)


class Logistic(tidegate.Cell):
    gates = ("n",)
    state = ("h",)

    def equations(a, U, h):
        n = a.n + 4 * h * (1 - h)
        return (n,), (n,)


class Henon(tidegate.Cell):
    gates = ("n",)
    state = ("x", "y")

    def equations(a, U, x, y):
        n = a.n + 1 - 1.4 * x**2 + y
        return (n, 0.3 * x), (n,)


def without_input(cell, H):
    layer = tidegate.Recurrent(cell, 1, H, dtype=torch.float64)
    for parameter in layer.parameters():
        parameter.data.zero_()
    return layer


def zeros(T, B=1):
    return torch.zeros(T, B, 1, dtype=torch.float64)


def test_a_linear_network_has_the_logarithms_of_its_eigenvalues():
    layer = without_input(Linear, 5)
    random = np.random.default_rng(0)
    basis = random.standard_normal((5, 5))
    sizes = np.array([1.05, 0.9, 0.7, 0.5, 0.3])
    layer.weight_hh_l0.data = torch.from_numpy(basis @ np.diag(sizes) @ np.linalg.inv(basis))
    found = lyapunov(layer, zeros(600), warmup=200)
    np.testing.assert_allclose(found.exponents, np.log(sizes), atol=1e-5)
    assert found.condition == pytest.approx(1.05 / 0.3, rel=1e-4)
    assert found.time_constant == np.inf


def test_an_orthogonal_network_has_exponents_zero():
    layer = without_input(Linear, 6)
    layer.weight_hh_l0.data = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))[0]
    np.testing.assert_allclose(lyapunov(layer, zeros(150), warmup=5).exponents, 0, atol=1e-13)


def test_the_logistic_map_has_the_exponent_ln_2():
    hx = torch.full((1, 1, 1), 0.3141, dtype=torch.float64)
    found = lyapunov(without_input(Logistic, 1), zeros(4000), hx=hx)
    assert found.exponents[0] == pytest.approx(np.log(2), abs=0.01)


def test_the_henon_map_has_its_published_exponents():
    hx = tuple(torch.full((1, 1, 1), v, dtype=torch.float64) for v in (0.1, 0.1))
    found = lyapunov(without_input(Henon, 1), zeros(5000), hx=hx)
    np.testing.assert_allclose(found.exponents, [0.420, -1.624], atol=0.02)
    assert found.exponents.sum() == pytest.approx(np.log(0.3), abs=1e-12)
    assert 0.003 < found.standard_error[0] < 0.008  # the true value at T = 5,000 is 0.0048


def test_all_exponents_add_up_to_the_mean_logarithm_of_the_determinant(cell):
    layer = make_layer(cell, H=4, layers=2, scale=1.5)
    x = torch.randn(40, 2, 3, dtype=torch.float64)
    system = linearise(record(as_subject(layer), x))
    found = lyapunov(layer, x, k=system.size, warmup=0)
    logs = [np.linalg.slogdet(system.dense(t, b))[1] for t in range(40) for b in range(2)]
    if cell == "rnn-relu":  # units at zero make the Jacobian singular
        assert not np.isfinite(np.mean(logs))
        assert found.floored.any()
    else:
        assert found.exponents.sum() == pytest.approx(np.mean(logs), rel=1e-9)


@pytest.mark.parametrize(("bias", "joint"), [(0.0, -0.461), (1.0, -0.170), (3.0, -0.005)])
def test_a_random_lstm_has_the_exponents_of_its_joint_state(bias, joint):
    """Measured values of one random LSTM; others differ by the draw. The h block alone gives -1.9 to -2.0."""
    found = []
    for seed in range(3):
        layer = make_layer("lstm", D=8, H=64, seed=seed)
        with torch.no_grad():
            layer.gate_parameters("f")["bias_hh_l0"].add_(bias)
        x = torch.randn(130, 1, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        found.append(lyapunov(layer, x, k=4, warmup=30).exponents[0])
    assert np.mean(found) == pytest.approx(joint, abs=0.06)


def test_blocks_give_the_error_of_correlated_values():
    random = np.random.default_rng(0)
    noise = random.standard_normal((20_000, 1, 1))
    values = np.zeros_like(noise)
    for t in range(1, len(values)):
        values[t] = 0.8 * values[t - 1] + noise[t]
    true = 1 / (1 - 0.8) / np.sqrt(20_000)  # of an AR(1) process with noise of variance 1
    assert block_error(values)[0] == pytest.approx(true, rel=0.15)
    assert np.isnan(block_error(values[:30])[0])


def test_directions_that_a_step_removes_are_counted():
    layer = without_input(Linear, 3)
    found = lyapunov(layer, zeros(10), warmup=2)
    assert (found.floored == 1).all()
    assert (found.exponents < -600).all()


def test_what_cannot_be_measured_is_refused():
    layer = make_layer("lstm")
    x = torch.randn(50, 1, 3, dtype=torch.float64)
    with pytest.raises(ShapeError, match="at least 102 steps for 100 steps of warm-up"):
        lyapunov(layer, x)
    with pytest.raises(ArgumentError, match=r"`k` must be in 1\.\.10, the entries of the joint state, got 11"):
        lyapunov(layer, x, k=11, warmup=3)


def test_the_words_do_not_give_a_floored_exponent_as_a_measurement():
    layer = without_input(Linear, 3)
    assert "no finite Lyapunov exponent" in str(lyapunov(layer, zeros(10), warmup=2))
    layer.weight_hh_l0.data = 1e-3 * torch.eye(3, dtype=torch.float64)
    assert "lost within one step" in str(lyapunov(layer, zeros(200), warmup=2))
