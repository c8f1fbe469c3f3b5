"""The way of a call through the layers of a stack."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

import tidegate
from tidegate.nn.stack import read_weights, suffixes


class Counted(nn.Module):
    def __init__(self):
        super().__init__()
        self.evaluations = 0

    def forward(self, weight):
        self.evaluations += 1
        return weight.clone()


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM", "ResetBeforeGRU", "GRUCell", "LSTMCell", "RNNCell"])
def test_a_parametrized_weight_is_evaluated_once_per_call(kind):
    module = getattr(tidegate, kind)(3, 4)
    counters = {}
    for name in [name for name, _ in module.named_parameters()]:
        counters[name] = Counted()
        parametrize.register_parametrization(module, name, counters[name])
    for counter in counters.values():
        counter.evaluations = 0
    module(torch.randn(2, 3) if "Cell" in kind else torch.randn(5, 2, 3))
    assert {name: counter.evaluations for name, counter in counters.items()} == dict.fromkeys(counters, 1)


def test_spectral_norm_makes_one_power_iteration_per_call():
    torch.manual_seed(0)
    layer = parametrizations.spectral_norm(tidegate.GRU(3, 4), "weight_hh_l0")
    norm = layer.parametrizations.weight_hh_l0[0]
    expected = parametrizations.spectral_norm(nn.Linear(4, 12), "weight")
    expected.parametrizations.weight.original.data.copy_(layer.parametrizations.weight_hh_l0.original)
    for name in ("_u", "_v"):
        getattr(expected.parametrizations.weight[0], name).copy_(getattr(norm, name))
    for _ in range(3):
        layer(torch.randn(5, 2, 3))
        expected(torch.randn(2, 4))
        assert torch.allclose(norm._u, expected.parametrizations.weight[0]._u, atol=1e-6)


@pytest.mark.parametrize(
    "options", [{}, {"num_layers": 2}, {"bidirectional": True}, {"num_layers": 3, "bidirectional": 1}]
)
def test_weights_are_read_in_the_order_of_the_states(options):
    layer = tidegate.GRU(3, 4, **options)
    assert [f"weight_ih_{suffix}" for suffix in suffixes(layer)] == [weights[0] for weights in layer._all_weights]
    for suffix, weights in zip(suffixes(layer), read_weights(layer), strict=True):
        assert weights.w_ih is getattr(layer, f"weight_ih_{suffix}")
        assert weights.b_hh is getattr(layer, f"bias_hh_{suffix}")
