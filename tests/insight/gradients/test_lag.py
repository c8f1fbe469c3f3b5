"""The gradient against the lag, against autograd with the states of each earlier step as leaves."""

import numpy as np
import pytest
import torch
from tests.insight.small import make_layer

import tidegate
from tidegate.errors import ArgumentError, ArgumentTypeError, ShapeError
from tidegate.insight import gradient_lag
from tidegate.insight.gradients.lag import log_mean, quantiles, summary
from tidegate.insight.gradients.sweep import spread_anchors


def norm_by_autograd(model, x, t, b, k, names):
    """The norms of dl / d states after step t - k, of the loss after step t, by state; "all" too."""
    layer = model.recurrent
    _, hx = layer(x[: t - k + 1, b : b + 1])
    leaves = [s.detach().requires_grad_() for s in (hx if isinstance(hx, tuple) else (hx,))]
    hx = tuple(leaves) if isinstance(hx, tuple) else leaves[0]
    if k:
        y, _ = layer(x[t - k + 1 : t + 1, b : b + 1], hx)
        h = y[-1]
    else:
        h = leaves[0][-1]
    loss = torch.nn.functional.cross_entropy(model.head(h), x[t + 1, b : b + 1])
    grads = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
    found = {f"{s}_l{i}": g[i, 0].norm().item() for s, g in zip(names, grads) for i in range(layer.num_layers)}
    return found | {"all": torch.cat([g.flatten() for g in grads]).norm().item()}


@pytest.mark.parametrize("layers", [1, 2])
def test_it_is_the_mean_norm_of_autograds_gradients(cell, layers):
    torch.manual_seed(0)
    equations = make_layer(cell).cell
    model = tidegate.LanguageModel(equations, 7, 4, layers=layers, engine="eager").double().eval()
    x = torch.randint(7, (14, 2))
    found = gradient_lag(model, x, longest=6, anchors=12)
    t, b = spread_anchors(13, 2, 12, 6)
    assert found.anchors == len(t)
    for k in (0, 1, 2, 6):
        norms = [norm_by_autograd(model, x, i, j, k, equations.state) for i, j in zip(t, b)]
        for name in found.log10_mean:
            expected = np.mean([row[name] for row in norms])
            np.testing.assert_allclose(10 ** found.log10_mean[name][k], expected, rtol=1e-9, atol=1e-15)


def test_it_does_not_underflow():
    layer = make_layer("rnn", scale=0.05)
    found = gradient_lag(layer, torch.randn(600, 1, 3, dtype=torch.float64), longest=500, anchors=3)
    assert found.log10_mean["all"][-1] < -400
    assert np.isfinite(found.log10_mean["all"]).all()
    assert 0 < found.gain < 0.3
    assert found.horizon < 5


def test_gain_and_horizon_of_a_known_decay():
    logs = {"all": np.log(0.9) * np.arange(101)[:, None] + np.zeros((101, 4))}
    found = summary(logs, of_loss=True)
    assert found.gain == pytest.approx(0.9)
    assert found.horizon == int(np.log(0.01) / np.log(0.9))
    assert not found.beyond
    assert found.median_horizon == found.horizon
    mixed = np.log([0.5, 0.5, 0.99])[None, :] * np.arange(101)[:, None]
    assert summary({"all": mixed}, of_loss=True, tokens_are=None).median_horizon == int(np.log(0.01) / np.log(0.5))
    assert summary({"all": np.zeros((11, 2))}, of_loss=True).beyond


def test_the_mean_of_logarithms_and_quantiles():
    values = np.random.default_rng(0).random((3, 11)) * 1e3
    np.testing.assert_allclose(np.exp(log_mean(np.log(values))), values.mean(1))
    np.testing.assert_array_equal(quantiles(values, (0.5,))[0], np.median(values, 1))
    assert log_mean(np.full((1, 3), -np.inf))[0] == -np.inf


def test_a_cell_that_forgets_at_once_has_a_gain_of_zero():
    class Forgets(tidegate.Cell):
        gates = ("n",)
        state = ("h",)

        def equations(a, U, h):
            n = tidegate.tanh(a.n + 0.5 * h - 0.5 * h)
            return (n,), (n,)

    layer = tidegate.Recurrent(Forgets, 3, 4, dtype=torch.float64)
    found = gradient_lag(layer, torch.randn(20, 1, 3, dtype=torch.float64), longest=10, anchors=4)
    assert found.horizon == 0
    assert found.gain == 0


def test_what_cannot_be_measured_is_refused():
    layer = make_layer("gru")
    x = torch.randn(20, 1, 3, dtype=torch.float64)
    with pytest.raises(ShapeError, match=r"`data` must have at least 202 steps for lags up to 200, got 20"):
        gradient_lag(layer, x)
    with pytest.raises(ArgumentError, match="bidirectional"):
        gradient_lag(make_layer("gru", bidirectional=True), x)
    with pytest.raises(ArgumentTypeError, match="layer of Tidegate"):
        gradient_lag(torch.nn.GRU(3, 4), x)
    with pytest.raises(ArgumentTypeError, match="vocabulary"):
        gradient_lag(layer, "a text")
    with pytest.raises(ArgumentError, match="NaN"):
        gradient_lag(layer, x * torch.nan)
    layer.weight_hh_l0.data[0, 0] = torch.nan
    with pytest.raises(ArgumentError, match="weight_hh_l0 has values that are NaN"):
        gradient_lag(layer, x)


def test_the_model_is_not_changed():
    model = tidegate.LanguageModel("gru", 5, 4, dropout=0.5).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    gradient_lag(model, torch.randint(5, (30,)), longest=5)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
