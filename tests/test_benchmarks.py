"""The benchmarks find what they time, and two layers that differ are not compared."""

import numpy as np
import pytest
import torch
from benchmarks import layers, onnx_cells, precision, rates, stream, textbook, training, words
from torch import nn


def test_the_kernels_that_are_timed_are_those_that_run():
    found = rates.kernel_rates(2, 8, T=3, seconds=0.01)
    assert found.keys() == {"forward", "backward"}
    assert min(found.values()) > 0
    for torchs in (False, True):
        step = textbook.training_step(textbook.copy_of(nn.GRU(textbook.V, textbook.H)), one_hot=False, torchs=torchs)
        assert 0 < training.outside(step, 5) < 1
    assert 0 < training.outside_in_our_loop("lstm", 4, 5, 8) < 1


def test_with_our_parts_and_torchs_a_step_has_the_same_losses():
    steps = []
    for torchs in (False, True):
        torch.manual_seed(0)
        steps.append(textbook.training_step(nn.GRU(textbook.V, textbook.H), one_hot=True, torchs=torchs))
    textbook.check("GRU", *steps)


def test_word_models_of_the_same_weights_have_the_same_losses(monkeypatch):
    assert all(0 < step() < 10 for step in words.steps(30, 6, 4, 5).values())
    monkeypatch.setattr(words.OfTorch, "loss", lambda self, x, y: 1.1 * self.head(self.embedding(x)).square().sum())
    with pytest.raises(AssertionError, match="the losses differ"):
        words.steps(30, 6, 4, 5)


def test_layers_with_different_results_are_not_timed(monkeypatch):
    monkeypatch.setitem(layers.KINDS, "GRU", (layers.KINDS["GRU"][0], lambda D, H: Doubled(D, H)))
    with pytest.raises(AssertionError, match=r"GRU .* differs from"):
        layers.compare("GRU", (2, 8, 3), backward=True, seconds=0.01)


def test_a_stream_is_timed_beside_cells_of_the_same_states(monkeypatch):
    monkeypatch.setattr(stream, "BLOCK", 30)
    for kind in stream.CELLS:
        found = stream.compare(kind, 8, 60)
        assert found["tidegate"]["p99"] >= found["tidegate"]["p50"] > 0
        assert {"tidegate", f"nn.{kind}Cell"} <= found.keys()
    monkeypatch.setattr(stream, "of_torch", lambda cell: lambda x: np.ones(8, np.float32))
    with pytest.raises(AssertionError, match="the states differ"):
        stream.compare("GRU", 8, 60)


def test_a_missing_peer_is_named_and_left_out(monkeypatch):
    monkeypatch.setattr(onnx_cells, "find_spec", lambda name: None)
    assert onnx_cells.missing() == "ONNX Runtime is left out: `pip install onnx onnxruntime` adds it."
    assert stream.compare("GRU", 8, 200).keys() == {"kind", "H", "steps", "tidegate", "bfloat16", "int8", "nn.GRUCell"}


def test_precisions_are_compared_after_their_errors_were_checked(monkeypatch):
    torch.manual_seed(0)
    found = precision.layer("GRU", (3, 20, 4), 0.01)
    assert {title for title, _, _ in precision.RATIOS} <= found.keys()
    assert torch.get_float32_matmul_precision() == "highest"
    at = precision.at
    monkeypatch.setattr(precision, "at", lambda level, function: 1.1 * at(level, function))
    with pytest.raises(AssertionError, match="the outputs at medium are wrong"):
        precision.layer("GRU", (3, 20, 4), 0.01)


class Doubled(nn.GRU):
    def forward(self, x, h=None):  # pyright: ignore[reportIncompatibleMethodOverride]
        y, h = super().forward(x, h)
        return 2 * y, h
