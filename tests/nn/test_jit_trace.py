"""Layers in programs that torch.jit.trace and the ONNX exporter based on it record: right numbers or an error."""

import contextlib
import io

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import tidegate

pytestmark = pytest.mark.filterwarnings(
    "ignore:`torch.jit:DeprecationWarning",
    "ignore::torch.jit.TracerWarning",
    "ignore:.*legacy TorchScript",
    "ignore:The feature will be removed:DeprecationWarning",
    "ignore:LSTM with projections is not supported with oneDNN",
)
T, B, D, H = 5, 2, 3, 4
LAYERS = {
    "RNN": lambda **k: tidegate.RNN(D, H, nonlinearity="relu", **k),
    "GRU": lambda **k: tidegate.GRU(D, H, 2, bidirectional=True, **k),
    "LSTM": lambda **k: tidegate.LSTM(D, H, 2, **k),
    "projected": lambda **k: tidegate.LSTM(D, H, proj_size=2, **k),
    "ResetBeforeGRU": lambda **k: tidegate.ResetBeforeGRU(D, H, bidirectional=True, **k),
    "PeepholeLSTM": lambda **k: tidegate.PeepholeLSTM(D, H, **k),
    "ResidualRNN": lambda **k: tidegate.ResidualRNN(D, H, **k),
}
each_layer = pytest.mark.parametrize("name", LAYERS)


def trace(module, *inputs):
    return torch.jit.trace(module, inputs, check_trace=False)


def assert_near(found, expected) -> None:
    found, expected = (torch.utils._pytree.tree_leaves(tree) for tree in (found, expected))
    assert len(found) == len(expected)
    for a, b in zip(found, expected):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-6 * max(1.0, float(b.detach().abs().max())))


def assert_right_or_refused(traced, module, *inputs) -> None:
    try:
        found = traced(*inputs)
    except RuntimeError:
        return
    assert_near(found, module(*inputs))


@each_layer
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_traced_layer_is_right_for_other_batches_and_right_or_refused_for_other_T(name, batch_first):
    layer = LAYERS[name](batch_first=batch_first)
    size = (lambda t, b: (b, t, D)) if batch_first else (lambda t, b: (t, b, D))
    traced = trace(layer, torch.randn(size(T, B)))
    for b in (B, 1, 7):
        x = torch.randn(size(T, b))
        assert_near(traced(x), layer(x))
    for t in (1, T - 1, T + 1, 3 * T):
        assert_right_or_refused(traced, layer, torch.randn(size(t, B)))


@each_layer
def test_a_traced_layer_has_gradients_and_can_be_saved(name):
    layer, x = LAYERS[name](), torch.randn(T, B, D)
    file = io.BytesIO()
    torch.jit.save(trace(layer, x), file)
    file.seek(0)
    loaded = torch.jit.load(file)
    given = dict(loaded.named_parameters())
    found = torch.autograd.grad(loaded(x)[0].square().sum(), [given[n] for n, _ in layer.named_parameters()])
    assert_near(found, torch.autograd.grad(layer(x)[0].square().sum(), list(layer.parameters())))


def test_states_lengths_resets_and_class_indices_are_inputs_of_the_traced_program():
    layer = tidegate.LSTM(D, H, 2, bidirectional=True)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x, h, c, lengths, resets):
            return self.layer(x, (h, c), lengths=lengths, resets=resets)

    def inputs(b):
        x = torch.randint(D, (T, b))
        return x, torch.randn(4, b, H), torch.randn(4, b, H), torch.randint(T + 1, (b,)), torch.rand(b, T) < 0.4

    traced = trace(Model(), *inputs(B))
    for b in (B, 5):
        given = inputs(b)
        assert_near(traced(*given), Model()(*given))
    x, *rest = inputs(B)
    with pytest.raises((RuntimeError, IndexError), match="index out of range"):
        traced(x.fill_(D), *rest)


@each_layer
def test_lengths_alone_are_an_input_of_the_traced_program(name):
    layer = LAYERS[name]()

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x, lengths):
            return self.layer(x, lengths=lengths)

    model = Model()
    for first in ([T, T], [3, T]):
        traced = trace(model, torch.randn(T, B, D), torch.tensor(first))
        for lengths in ([T, T], [1, 2], [0, T], [4, 3, T]):
            given = torch.randn(T, len(lengths), D), torch.tensor(lengths)
            assert_near(traced(*given), model(*given))


@pytest.mark.parametrize("kind", [tidegate.GRUCell, tidegate.LSTMCell])
def test_cells_can_be_traced(kind):
    cell = kind(D, H)
    traced = trace(cell, torch.randn(B, D))
    for b in (B, 7):
        x = torch.randn(b, D)
        assert_near(traced(x), cell(x))


def test_a_packed_sequence_in_a_traced_program_is_right_or_refused():
    """Traced with even lengths, called with odd ones."""

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = tidegate.GRU(D, H, 2)

        def forward(self, x, lengths):
            y, h = self.layer(pack_padded_sequence(x, lengths))
            return pad_packed_sequence(y)[0], h

    model = Model()
    for first in ([T, T], [T, 2]):
        traced = trace(model, torch.randn(T, B, D), torch.tensor(first))
        for lengths in ([T, T], [T, 3], [T, 1], [T - 1, 2]):
            assert_right_or_refused(traced, model, torch.randn(T, B, D), torch.tensor(lengths))


def test_a_named_engine_that_cannot_be_traced_raises():
    with pytest.raises(tidegate.EngineError, match=r'engine "cpu" cannot run this GRU: torch\.jit\.trace'):
        trace(tidegate.GRU(D, H, engine="cpu"), torch.randn(T, B, D))


def test_recomputation_is_refused_because_it_would_fix_the_number_of_steps():
    layer, x = tidegate.GRU(D, H, recompute=True), torch.randn(T, B, D)
    with pytest.raises(tidegate.EngineError, match=r"torch\.jit\.trace cannot record .* use recompute=False"):
        trace(layer, x)
    with torch.no_grad():
        assert_near(trace(layer, x)(x), layer(x))


@pytest.mark.filterwarnings("ignore:Exporting a model to ONNX:UserWarning")
@pytest.mark.parametrize("name", [name for name in LAYERS if name != "projected"])  # ONNX's LSTM has no projection
def test_the_onnx_exporter_that_traces_records_operations_of_torch_only(name):
    """The exporter needs the package onnx for the last step, after it has recorded the graph."""
    layer, x = LAYERS[name](), torch.randn(T, B, D)
    graph, _ = torch.jit._get_trace_graph(layer, (x, None, None, None))
    kinds = {node.kind().partition("::")[0] for node in graph.nodes()}
    assert kinds <= {"aten", "prim"}
    with contextlib.suppress(torch.onnx.errors.OnnxExporterError):
        torch.onnx.export(layer, (x,), io.BytesIO(), dynamo=False)
