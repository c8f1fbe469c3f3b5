"""Layers and cells of torch.nn become twins and back, with the same parameters, not copies; inside a model too."""

import pytest
import torch
from torch import nn

import tidegate
from tidegate import convert

LAYERS = [
    nn.RNN(3, 4, 2, nonlinearity="relu", bias=False),
    nn.GRU(3, 4, 2, dropout=0.5, bidirectional=True, batch_first=True),
    nn.LSTM(3, 4, 2, proj_size=2),
    nn.LSTM(3, 4, dtype=torch.float64),
]
CELLS = [nn.RNNCell(3, 4, nonlinearity="relu"), nn.GRUCell(3, 4, bias=False), nn.LSTMCell(3, 4)]


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("module", [*LAYERS, *CELLS], ids=str)
def test_twins_hold_the_same_parameters_and_compute_the_same(module):
    module.eval()
    twin = convert.from_torch(module)
    assert isinstance(twin, type(module))
    assert not twin.training
    x = torch.randn(5, 3, dtype=next(module.parameters()).dtype)
    x = x if module in CELLS else x.unsqueeze(1)
    again = convert.to_torch(twin)
    assert type(again) is type(module)
    assert repr(again) == repr(module)
    for other in (twin, again):
        assert all(p is q for p, q in zip(other.parameters(), module.parameters(), strict=True))
        for s, t in zip(*(torch.utils._pytree.tree_leaves(m(x)) for m in (other, module)), strict=True):
            assert torch.allclose(s, t, rtol=1e-5, atol=1e-6)


def test_all_layers_of_a_model_are_replaced():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.GRU(3, 4)
            self.deeper = nn.ModuleDict({"lstm": nn.LSTM(4, 4), "head": nn.Linear(4, 1)})

        def forward(self, x):
            return self.deeper["head"](self.deeper["lstm"](self.encoder(x)[0])[0])

    model, x = Model(), torch.randn(5, 2, 3)
    optimiser, before = torch.optim.SGD(model.parameters(), 0.1), model(x)
    assert convert.replace_layers(model) is model
    assert type(model.encoder) is tidegate.GRU
    assert type(model.deeper["lstm"]) is tidegate.LSTM
    assert torch.allclose(model(x), before, atol=1e-6)
    model(x).sum().backward()
    optimiser.step()
    assert not torch.allclose(model(x), before, atol=1e-3)


def test_options_reach_the_layers():
    layer = convert.from_torch(nn.GRU(3, 4), engine="eager", recompute=True)
    assert (layer.engine, layer.recompute) == ("eager", True)
    model = nn.ModuleList([nn.LSTM(3, 4), nn.LSTMCell(3, 4)])
    convert.replace_layers(model, recompute=True)
    assert [type(part) for part in model] == [tidegate.LSTM, tidegate.LSTMCell]
    assert model[0].recompute
    assert not convert.replace_layers(nn.ModuleList([nn.RNN(3, 4)]))[0].recompute
    with pytest.raises(tidegate.ArgumentError, match="`recompute` is for layers, got a GRUCell"):
        convert.from_torch(nn.GRUCell(3, 4), recompute=True)


@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM", "RNNCell", "GRUCell", "LSTMCell"])
def test_the_twins_can_replace_the_classes_of_torch(monkeypatch, name):
    plain, twin = getattr(nn, name), getattr(tidegate, name)
    monkeypatch.setattr(nn, name, twin)
    layer = nn.__dict__[name](3, 4)
    assert type(layer) is twin
    assert type(convert.to_torch(layer)) is plain
    assert type(convert.from_torch(plain(3, 4))) is twin
    layer(torch.randn(5, 3))


def test_error_messages_say_what_to_write():
    with pytest.raises(tidegate.ArgumentError, match="replace_layers"):
        convert.from_torch(nn.Linear(3, 4))
    with pytest.raises(tidegate.ArgumentError, match=r"torch.nn has no ResetBeforeGRU.*to_reset_after"):
        convert.to_torch(tidegate.ResetBeforeGRU(3, 4))
    with pytest.raises(tidegate.ArgumentError, match=r"torch.nn has no PeepholeLSTM"):
        convert.to_torch(tidegate.PeepholeLSTM(3, 4))
