"""Layers and cells that run on the torch engine: torch.nn's numbers bit for bit, in every form of input."""

import doctest
from pathlib import Path

import pytest
import torch
from tests.engines.test_torch import (
    KINDS,
    B,
    D,
    H,
    T,
    as_hx,
    each_dtype,
    each_kind,
    module,
    state,
    tensors,
)
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

import tidegate
from tidegate import cells
from tidegate.nn import sequence

# torch's own forward-mode formulas still script a function, which torch deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is:DeprecationWarning")


def pair(kind: str, dtype: torch.dtype = torch.float32, **options):
    """Our layer on the engine, and torch.nn's, of the same parameters."""
    twin, _, own = KINDS[kind]
    made = []
    for cls, engine_name in ((getattr(tidegate, twin.__name__), {"engine": "torch"}), (twin, {})):
        torch.manual_seed(0)
        made.append(cls(D, H, dtype=dtype, **own, **options, **engine_name))
    return made


@each_dtype
@each_kind
@pytest.mark.parametrize("form", ["batched", "batch first", "unbatched", "packed", "packed, unsorted", "packed, even"])
def test_a_layer_has_the_bits_of_torch_nn_in_every_form(kind, dtype, form):
    ours, theirs = pair(kind, dtype, num_layers=2, bidirectional=True, dropout=0.5, batch_first=form == "batch first")
    x = torch.randn(*(T, D) if form == "unbatched" else (T, B, D), dtype=dtype)
    x = x.transpose(0, 1).contiguous() if form == "batch first" else x
    hx = tuple(s[:, 0] if form == "unbatched" else s for s in state(theirs))
    lengths = {"packed": [6, 4, 1], "packed, unsorted": [2, 6, 3], "packed, even": [6, 6, 6]}.get(form)
    results = []
    for given in (None, as_hx(hx)):
        for layer in (ours, theirs):
            leaf = x.clone().requires_grad_()
            z = leaf if lengths is None else pack_padded_sequence(leaf, torch.tensor(lengths), enforce_sorted=False)
            torch.manual_seed(7)
            found = tensors(layer(z, given))
            floats = [t for t in found if t.requires_grad]
            wanted = [leaf, *layer.parameters(), *(hx if given is not None else ())]
            results.append([*found, *torch.autograd.grad(sum(t.sum() for t in floats), wanted)])
    for got, expected in (results[:2], results[2:]):
        assert [t.shape for t in got] == [t.shape for t in expected]
        assert all(map(torch.equal, got, expected))


@each_kind
@pytest.mark.parametrize("given", [True, False])
def test_under_autocast_a_layer_has_the_bits_and_dtypes_of_torch_nn(kind, given):
    ours, theirs = pair(kind, num_layers=2, bidirectional=True)
    hx = as_hx(state(theirs)) if given else None
    for x in (torch.randn(T, B, D), torch.randn(T, B, D).bfloat16()):
        with torch.autocast("cpu", torch.bfloat16):
            got, expected = tensors(ours(x, hx)), tensors(theirs(x, hx))
        assert [t.dtype for t in got] == [t.dtype for t in expected]
        assert all(map(torch.equal, got, expected))


def test_under_autocast_auto_keeps_the_dtype_of_the_weights_on_a_cpu():
    layer, x = tidegate.GRU(D, H), torch.randn(T, B, D).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        y, h = layer(x)
        assert [v.engine for v in tidegate.why(layer, x) if v.chosen] == ["cpu"]
    assert (y.dtype, h.dtype) == (torch.float32, torch.float32)
    assert torch.allclose(y, layer(x.float())[0], atol=0.02)  # the products may be of bfloat16 numbers


def test_a_packed_sequence_stays_packed(monkeypatch):
    ours, theirs = pair("gru", num_layers=2, dropout=0.5)
    packed = pack_padded_sequence(torch.randn(T, B, D), torch.tensor([2, 6, 3]), enforce_sorted=False)
    expected = tensors(theirs.eval()(packed))
    monkeypatch.setattr(sequence, "pad_packed_sequence", None)
    monkeypatch.setattr(sequence, "pack_padded_sequence", None)
    assert all(map(torch.equal, tensors(ours.eval()(packed)), expected))


def test_replaced_and_parametrized_weights_are_the_ones_that_run():
    ours, theirs = pair("lstm")
    for layer in (ours, theirs):
        torch.manual_seed(3)
        layer.weight_hh_l0 = nn.Parameter(torch.randn(4 * H, H))
        nn.utils.parametrizations.weight_norm(layer, "weight_ih_l0")
    x = torch.randn(T, B, D)
    assert all(map(torch.equal, tensors(ours(x)), tensors(theirs(x))))


def test_a_compiled_layer_runs_on_the_named_engine():
    layer = tidegate.Recurrent(cells.GRU, D, H, bidirectional=True, engine="torch")
    x = torch.randn(T, B, D, requires_grad=True)
    torch._dynamo.reset()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    found = [torch.autograd.grad(run(x)[0].square().sum(), [x, *layer.parameters()]) for run in (compiled, layer)]
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*found, strict=True))


def test_a_layer_that_cpu_refuses_runs_on_torch_automatically():
    layer = tidegate.LSTM(D, H, proj_size=2)
    x = torch.randn(T, B, D)
    assert [v.engine for v in tidegate.why(layer, x) if v.chosen] == ["torch"]
    twin = nn.LSTM(D, H, proj_size=2)
    twin.load_state_dict(layer.state_dict())
    assert torch.equal(layer(x)[0], twin(x)[0])


@pytest.mark.parametrize("name", ["RNNCell", "GRUCell", "LSTMCell"])
def test_under_autocast_a_cell_has_the_bits_and_dtypes_of_torch_nn(name):
    torch.manual_seed(0)
    ours = getattr(tidegate, name)(D, H, engine="torch")
    theirs = getattr(nn, name)(D, H)
    theirs.load_state_dict(ours.state_dict())
    for x in (torch.randn(B, D), torch.randn(B, D).bfloat16()):
        with torch.autocast("cpu", torch.bfloat16):
            got, expected = tensors(ours(x)), tensors(theirs(x))
        assert [t.dtype for t in got] == [t.dtype for t in expected]
        assert all(map(torch.equal, got, expected))


def test_the_examples_in_docs_gpu_give_the_documented_output():
    page = Path(__file__).parents[2] / "docs" / "gpu.md"
    result = doctest.testfile(str(page), module_relative=False)
    assert (result.attempted, result.failed) == (2, 0)


@pytest.mark.parametrize("kind", ["tanh", "relu", "gru", "lstm"])
@pytest.mark.parametrize("bias", [True, False])
def test_custom_layers_of_torchs_cells_have_the_weight_layout_of_torch_nn(kind, bias, monkeypatch):
    names = ("mode", "bias", "input_size", "hidden_size", "proj_size", "num_layers", "batch_first", "bidirectional")
    laid_out = []
    monkeypatch.setattr(nn.RNNBase, "flatten_parameters", lambda layer: laid_out.append(layer))
    ours = tidegate.Recurrent(KINDS[kind][1], D, H, 2, bias=bias, bidirectional=True)
    theirs = module(kind, num_layers=2, bias=bias, bidirectional=True)
    found, expected = laid_out
    assert [getattr(found, name) for name in names] == [getattr(expected, name) for name in names]
    assert [id(p) for p in found._flat_weights] == [id(p) for p in ours.parameters()]
    assert len(found._flat_weights_names) == len(found._flat_weights)
    assert [p.shape for p in found._flat_weights] == [p.shape for p in theirs._flat_weights]
    ours.double()
    assert len(laid_out) == 3
    assert all(p.dtype == torch.float64 for p in laid_out[2]._flat_weights)


def test_the_weight_layout_of_other_layers_is_unchanged(monkeypatch):
    layer = tidegate.Recurrent(cells.GRU, D, H)
    nn.utils.parametrizations.weight_norm(layer, "weight_hh_l0")
    laid_out = []
    monkeypatch.setattr(nn.RNNBase, "flatten_parameters", lambda layer: laid_out.append(layer))
    layer.flatten_parameters()
    tidegate.ResetBeforeGRU(D, H).flatten_parameters()
    assert not laid_out
