"""The recurrent layers of a model become twins, and nothing is left as it was without a word."""

import copy
import io
import pickle
import warnings
from abc import ABC, abstractmethod

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

import tidegate
from tidegate import convert


class Named(nn.GRU):
    """A subclass that adds to torch.nn.GRU and changes nothing."""

    def __init__(self, size: int) -> None:
        super().__init__(size, 4)
        self.register_buffer("scale", torch.tensor(2.0))
        self.note = "kept"

    def doubled(self, x):
        return self.scale * self(x)[0]


class Flexible(ABC, nn.RNNBase):
    """As in PyTorch Forecasting: a base class whose forward calls that of whatever layer it is mixed with."""

    @abstractmethod
    def init_hidden(self): ...

    def forward(self, x, hx=None, lengths=None):
        y, state = super().forward(x, hx)
        return -y, state


class FlexibleLSTM(Flexible, nn.LSTM):
    def init_hidden(self):
        return 0


class Direct(nn.GRU):
    def forward(self, x):
        return nn.GRU.forward(self, x)


class Checking(nn.GRU):
    def check_input(self, input, batch_sizes):
        raise RuntimeError("checked")


class OwnCell(nn.GRUCell):
    cell = "taken"


class FromBase(nn.RNNBase):
    def __init__(self):
        super().__init__("GRU", 3, 4)


LEFT = [
    (Direct(3, 4), "Direct): it overrides forward() without calling super().forward()"),
    (Checking(3, 4), "Checking): it overrides check_input(), which the replacement does not call"),
    (OwnCell(3, 4), "OwnCell): it has an attribute `cell` of its own, which the replacement needs"),
    (FromBase(), "FromBase): it is not an instance of RNN, GRU, LSTM, RNNCell, GRUCell, LSTMCell"),
]
x = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(0))


def same(a, b) -> bool:
    a, b = (torch.utils._pytree.tree_leaves(t) for t in (a, b))
    return all(torch.allclose(s, t, rtol=1e-5, atol=1e-6) for s, t in zip(a, b, strict=True))


@pytest.mark.parametrize(
    "make", [lambda: Named(3), lambda: FlexibleLSTM(3, 4), lambda: nn.RNN(3, 4, nonlinearity="relu")]
)
def test_a_layer_and_a_subclass_stay_the_same_object_with_another_forward(make):
    model = nn.ModuleDict({"layer": make()})
    layer, kind, parameters, before = model["layer"], type(model["layer"]), list(model.parameters()), model["layer"](x)
    seen = []
    layer.register_forward_hook(lambda *_: seen.append("hook"))
    convert.replace_layers(model, engine="eager", recompute=True)
    assert model["layer"] is layer
    assert isinstance(layer, kind)
    assert isinstance(layer, tidegate.nn.CellLayer)
    assert (layer.engine, layer.recompute) == ("eager", True)
    assert all(p is q for p, q in zip(model.parameters(), parameters, strict=True))
    assert same(layer(x), before)
    assert seen == ["hook"]
    assert [v.engine for v in tidegate.why(layer, x) if v.chosen] == ["eager"]
    convert.restore_layers(model)
    assert type(layer) is kind
    assert "engine" not in vars(layer)
    assert same(layer(x), before)


def test_a_replaced_subclass_keeps_its_state_and_can_be_copied_and_saved():
    layer = convert.replace_layers(Named(3), engine="eager")
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), torch.load(file, weights_only=False)):
        assert type(other) is type(layer)
        assert (other.note, other.engine, float(other.scale)) == ("kept", "eager", 2.0)
        assert torch.equal(other.doubled(x), layer.doubled(x))
        assert other.weight_hh_l0 is not layer.weight_hh_l0


@pytest.mark.parametrize("make", [lambda: nn.GRU(3, 4), lambda: Named(3)])
def test_a_parametrized_layer_is_replaced_with_its_parametrizations(make):
    layer = parametrizations.weight_norm(make(), "weight_hh_l0")
    before, names = layer(x), list(layer.state_dict())
    convert.replace_layers(layer)
    assert isinstance(layer, tidegate.GRU)
    assert parametrize.is_parametrized(layer, "weight_hh_l0")
    assert list(layer.state_dict()) == names
    assert same(layer(x), before)
    layer(x)[0].sum().backward()
    assert all(p.grad is not None for p in layer.parametrizations.parameters())
    convert.restore_layers(layer)
    assert not isinstance(layer, tidegate.GRU)
    assert same(layer(x), before)
    parametrize.remove_parametrizations(layer, "weight_hh_l0")
    assert same(layer(x), before)
    assert type(layer) is type(make())


def test_a_layer_with_two_names_and_the_model_itself_are_replaced():
    tied = nn.GRU(3, 4)
    model = nn.ModuleList([tied, nn.Sequential(tied), nn.GRUCell(3, 4)])
    convert.replace_layers(model)
    assert type(tied) is type(model[0]) is type(model[1][0]) is tidegate.GRU
    assert type(model[2]) is tidegate.GRUCell
    assert type(convert.replace_layers(nn.LSTM(3, 4))) is tidegate.LSTM


@pytest.mark.parametrize(("module", "reason"), LEFT, ids=[type(m).__name__ for m, _ in LEFT])
def test_layers_that_are_not_replaced_are_named_with_the_reason(module, reason):
    model = nn.ModuleDict({"good": nn.GRU(3, 4), "bad": module})
    assert str(convert.replacements(model)[0]) == "good (GRU): can be replaced"
    assert str(convert.replacements(model)[1]) == f"bad ({reason}"
    kind = type(module)
    with pytest.warns(UserWarning, match="did not replace") as caught:
        convert.replace_layers(model)
    assert [str(w.message) for w in caught] == [f"replace_layers did not replace bad ({reason}."]
    assert caught[0].filename == __file__
    assert type(model["bad"]) is kind
    assert type(model["good"]) is tidegate.GRU


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is:DeprecationWarning")
def test_layers_of_torchscript_are_named():
    model = nn.ModuleList([torch.jit.script(nn.GRU(3, 4)), torch.jit.script(nn.Linear(3, 4))])
    assert repr(convert.replacements(model)) == "0 (RecursiveScriptModule): it is compiled by TorchScript"


def test_a_model_without_recurrent_layers_is_named_and_a_replaced_one_is_not():
    with pytest.warns(UserWarning, match="found no recurrent layer in Linear: none of RNN, GRU, LSTM, RNNCell"):
        convert.replace_layers(nn.Linear(3, 4))
    model = convert.replace_layers(nn.ModuleList([nn.GRU(3, 4)]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        convert.replace_layers(model)
    assert convert.replacements(model) == ()


def test_layers_that_torch_does_not_have_are_named_and_not_restored():
    model = nn.ModuleList([tidegate.GRU(3, 4), tidegate.ResetBeforeGRU(3, 4), tidegate.GRUCell(3, 4)])
    with pytest.warns(UserWarning, match=r"restore_layers left 1 \(ResetBeforeGRU\): torch.nn has no such class"):
        convert.restore_layers(model)
    assert [type(m) for m in model] == [nn.GRU, tidegate.ResetBeforeGRU, nn.GRUCell]


def test_bad_options_are_refused_before_anything_changes():
    model = nn.ModuleList([nn.GRU(3, 4)])
    for options in ({"engine": "gpu"}, {"recompute": 2}):
        with pytest.raises(tidegate.ArgumentError, match=next(iter(options))):
            convert.replace_layers(model, **options)
    assert type(model[0]) is nn.GRU
