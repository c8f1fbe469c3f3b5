"""Dynamic quantization passes over our layers with a warning, and takes them once they are torch.nn's again."""

import pytest
import torch
from torch import nn

import tidegate

pytestmark = [
    pytest.mark.filterwarnings("ignore:torch.ao.quantization is deprecated"),
    pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor"),
]


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.head = tidegate.LSTM(3, 8), nn.Linear(8, 2)

    def forward(self, x):
        return self.head(self.layer(x)[0])


def quantized(model: nn.Module) -> nn.Module:
    return torch.ao.quantization.quantize_dynamic(model, {nn.LSTM, nn.Linear}, dtype=torch.qint8)


@pytest.mark.parametrize("module", [tidegate.LSTM, tidegate.GRU, tidegate.ResetBeforeGRU, tidegate.GRUCell])
def test_a_warning_says_that_a_layer_stays_in_floating_point(module):
    model = nn.ModuleList([module(3, 4)])
    with pytest.warns(UserWarning, match=f"does not quantize {module.__name__} of tidegate.*restore_layers"):
        found = quantized(model)
    assert type(found[0]) is module


def test_restored_layers_are_quantized():
    model, x = Model(), torch.randn(5, 2, 3)
    expected = model(x)
    found = quantized(tidegate.convert.restore_layers(model))
    assert type(found.layer) is torch.ao.nn.quantized.dynamic.LSTM
    assert type(found.head) is torch.ao.nn.quantized.dynamic.Linear
    assert (found(x) - expected).abs().max() < 0.1
    reported = tidegate.convert.replacements(found)
    assert repr(reported) == "layer (LSTM): it is a layer of torch.ao.nn, for quantization"
