"""Layers by name: every name, every option, and suggestions for names that are nearly right."""

import pytest
import torch

from tidegate.cells import CELLS
from tidegate.errors import ArgumentError
from tidegate.nn import build_layer

FILE = """
import tidegate

class Leaky(tidegate.Cell):
    gates, state = ("n",), ("h",)

    def equations(a, U, h):
        n = tidegate.tanh(a.n + U.n(h))
        return (0.5 * h + 0.5 * n,), (n,)
"""


@pytest.fixture(params=[*CELLS, "FILE.py:CLASS"])
def name(request, tmp_path):
    if request.param in CELLS:
        return request.param
    (tmp_path / "leaky.py").write_text(FILE)
    return f"{tmp_path / 'leaky.py'}:Leaky"


def test_every_option_reaches_the_layer(name):
    layer = build_layer(name, 3, 4, num_layers=2, engine="eager", dropout=0.25, recompute=True)
    assert (layer.input_size, layer.hidden_size, layer.num_layers) == (3, 4, 2)
    assert (layer.engine, layer.dropout, layer.recompute) == ("eager", 0.25, True)
    assert layer.cell is CELLS.get(name, layer.cell)
    assert not build_layer(name, 3, 4).recompute


def test_a_layer_that_recomputes_has_the_gradients_of_one_that_does_not(name):
    whole, again = (build_layer(name, 3, 4, recompute=recompute).double() for recompute in (False, True))
    again.load_state_dict(whole.state_dict())
    x = torch.randn(30, 2, 3, dtype=torch.float64)
    gradients = [torch.autograd.grad(m(x)[0].square().sum(), list(m.parameters())) for m in (whole, again)]
    for a, b in zip(*gradients, strict=True):
        assert float((a - b).norm()) <= 1e-13 * float(a.norm())


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("GRU", "gru"), ("LSTM", "lstm"), ("grru", "gru"), ("peephole_lstm", "peephole-lstm"), ("ReluRNN", "rnn-relu")],
)
def test_a_misspelt_name_gets_a_suggestion(typed, meant):
    with pytest.raises(ArgumentError, match=rf"got '{typed}'. Did you mean {meant}\?$"):
        build_layer(typed, 3, 4)


def test_a_name_unlike_all_others_gets_no_suggestion():
    with pytest.raises(ArgumentError, match=r"got 'transformer'.$"):
        build_layer("transformer", 3, 4)


def test_a_value_that_is_not_a_boolean_is_refused(name):
    with pytest.raises(ArgumentError, match="`recompute` must be True or False, got 1"):
        build_layer(name, 3, 4, recompute=1)
