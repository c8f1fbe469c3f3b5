"""Layers and cells of any equations: a Cell class, or a Step that was traced or read from text."""

import pickle

import pytest
import torch

import tidegate
from tidegate.calculus import serial, trace


class Leaky(tidegate.Cell):
    gates, state = ("n",), ("h",)

    def equations(a, U, h):
        n = tidegate.tanh(a.n + U.n(h))
        return (0.5 * h + 0.5 * n,), (n,)


def test_a_step_read_from_text_computes_what_its_cell_computes():
    step = serial.loads(serial.dumps(trace(Leaky)))
    x = torch.randn(5, 2, 3)
    for make, given in ((tidegate.Recurrent, x), (tidegate.RecurrentCell, x[0])):
        ours, expected = make(step, 3, 4), make(Leaky, 3, 4)
        assert ours.cell is ours.step is expected.step
        assert repr(ours) == repr(expected)
        ours.load_state_dict(expected.state_dict())
        for a, b in zip(*(torch.utils._pytree.tree_leaves(m(given)) for m in (ours, expected)), strict=True):
            assert torch.equal(a, b)
        again = pickle.loads(pickle.dumps(ours))
        assert again.cell is step
    layer = tidegate.Recurrent(step, 3, 4)
    assert list(tidegate.trace(layer, x)) == ["h_l0", "n_l0"]
    assert set(layer.gate_parameters("n")) == {"weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"}


def test_the_step_of_a_known_cell_is_that_cell():
    layer = tidegate.Recurrent(trace(tidegate.cells.LSTM), 3, 4)
    assert layer.cell is tidegate.cells.LSTM
    assert isinstance(tidegate.convert.to_torch(layer), torch.nn.LSTM)
    with pytest.raises(tidegate.ArgumentError, match=r"torch.nn has no Leaky"):
        tidegate.convert.to_torch(tidegate.Recurrent(trace(Leaky), 3, 4))


def test_the_equations_of_a_custom_layer_are_public():
    assert str(tidegate.ResetBeforeGRU(3, 4).step).startswith("ResetBeforeGRU: 2 matrix products a step")
    assert tidegate.RecurrentCell(Leaky, 3, 4).step is trace(Leaky)
