"""The benchmarks find what they time, and two layers that differ are not compared."""

import pytest
from benchmarks import layers, rates, textbook
from torch import nn


def test_the_kernels_that_are_timed_are_those_that_run():
    found = rates.kernel_rates(2, 8, T=3, seconds=0.01)
    assert found.keys() == {"forward", "backward"}
    assert min(found.values()) > 0
    assert 0 < textbook.share_outside(textbook.copy_of(nn.GRU(textbook.V, textbook.H))) < 1


def test_layers_with_different_results_are_not_timed(monkeypatch):
    monkeypatch.setitem(layers.KINDS, "GRU", (layers.KINDS["GRU"][0], lambda D, H: Doubled(D, H)))
    with pytest.raises(AssertionError, match=r"GRU .* differs from"):
        layers.compare("GRU", (2, 8, 3), backward=True, seconds=0.01)


class Doubled(nn.GRU):
    def forward(self, x, h=None):  # pyright: ignore[reportIncompatibleMethodOverride]
        y, h = super().forward(x, h)
        return 2 * y, h
