"""Layers in programs that torch.export makes, saved and loaded in another process."""

import subprocess
import sys

import pytest
import torch
from torch import nn

import tidegate


class Model(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer, self.head = layer, nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.layer(x)[0])


class Unnamed(tidegate.Cell):
    """A cell that exists in this process only."""

    gates = ("n", "m")
    state = ("h",)
    vectors = ("w",)

    def equations(a, U, v, h):
        n = tidegate.tanh(a.n + U.n(h))
        m = tidegate.sigmoid(a.m + v.w * h)
        return (m * n + (1 - m) * h,), (n, m)


LAYERS = {
    "RNN": lambda **k: tidegate.RNN(3, 4, **k),
    "GRU": lambda **k: tidegate.GRU(3, 4, **k),
    "LSTM": lambda **k: tidegate.LSTM(3, 4, **k),
    "ResetBeforeGRU": lambda **k: tidegate.ResetBeforeGRU(3, 4, **k),
    "PeepholeLSTM": lambda **k: tidegate.PeepholeLSTM(3, 4, **k),
    "ResidualRNN": lambda **k: tidegate.ResidualRNN(3, 4, **k),
    "Recurrent": lambda **k: tidegate.Recurrent(Unnamed, 3, 4, **k),
}
DYNAMIC = {"x": {0: torch.export.Dim("steps", min=2, max=100), 1: torch.export.Dim("batch", min=2, max=100)}}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("strict", [False, True])
def test_an_exported_model_has_one_operator_per_layer_and_runs_at_other_sizes(name, strict):
    model = Model(LAYERS[name](num_layers=2))
    with torch._dynamo.config.patch(allow_rnn=True):
        program = torch.export.export(model, (torch.randn(5, 2, 3),), dynamic_shapes=DYNAMIC, strict=strict)
    assert sum(node.target is torch.ops.tidegate.sequence.default for node in program.graph.nodes) == 2
    for x in (torch.randn(5, 2, 3), torch.randn(9, 3, 3)):
        assert torch.allclose(program.module()(x), model(x), atol=1e-6)


def test_an_exported_model_can_be_trained():
    model, x = Model(LAYERS["Recurrent"](bidirectional=False)), torch.randn(5, 2, 3)
    module = torch.export.export(model, (x,)).module()
    found = torch.autograd.grad(module(x).square().sum(), list(module.parameters()))
    expected = torch.autograd.grad(model(x).square().sum(), list(model.parameters()))
    by_shape = (
        sorted(found, key=lambda g: (g.shape, float(g.sum()))),
        sorted(expected, key=lambda g: (g.shape, float(g.sum()))),
    )
    for a, b in zip(*by_shape, strict=True):
        assert torch.allclose(a, b, atol=1e-6)


PROGRAM = """
{imports}
program = torch.export.load({folder!r} + "/program.pt2")
x, expected = torch.load({folder!r} + "/expected.pt")
difference = (program.module()(x) - expected).abs().max()
print(float(difference), "tidegate.nn" in sys.modules)
"""


@pytest.mark.parametrize("imports", ["import sys, tidegate, torch", "import sys, torch, tidegate"])
def test_a_saved_program_is_loaded_after_import_tidegate_and_needs_no_class_of_the_cell(tmp_path, imports):
    model, x = Model(LAYERS["Recurrent"](bidirectional=False)), torch.randn(5, 2, 3)
    torch.export.save(torch.export.export(model, (x,)), tmp_path / "program.pt2")
    torch.save((x, model(x).detach()), tmp_path / "expected.pt")
    text = PROGRAM.format(imports=imports, folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", text], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    difference, layers_loaded = done.stdout.split()
    assert float(difference) < 1e-6
    assert layers_loaded == "False"
