"""The two GRUs where they are the same function: outputs equal for every input and state; refused elsewhere."""

import pytest
import torch

import tidegate
from tidegate import convert
from tidegate.nn.stack import directions

D, H = 3, 4


def gru(kind=tidegate.GRU, H=H, **options):
    torch.manual_seed(0)
    layer = kind(D, H, dtype=torch.float64, **options)
    with torch.no_grad():
        for p in layer.parameters():
            p.mul_(3)
    return layer


def assert_same_function(a, b):
    states = a.num_layers * directions(a)
    x, h = torch.randn(7, 2, D, dtype=torch.float64), torch.randn(states, 2, a.hidden_size, dtype=torch.float64)
    assert (a(x, h)[0] - b(x, h)[0]).abs().max() < 1e-13
    assert type(a) is not type(b)


@torch.no_grad()
def make_diagonal(layer):
    for name, rows in layer.gate_parameters("n").items():
        if name.startswith("weight_hh"):
            rows.copy_(torch.diag(rows.diagonal().clone()))


@torch.no_grad()
def zero(layer, gate, *kinds):
    for name, rows in layer.gate_parameters(gate).items():
        if name.startswith(kinds):
            rows.zero_()


def both_ways(layer):
    other = convert.to_reset_before(layer) if isinstance(layer, tidegate.GRU) else convert.to_reset_after(layer)
    assert_same_function(layer, other)
    back = convert.to_reset_after(other) if isinstance(layer, tidegate.GRU) else convert.to_reset_before(other)
    assert_same_function(other, back)
    return other


@pytest.mark.parametrize("kind", [tidegate.GRU, tidegate.ResetBeforeGRU])
def test_a_diagonal_candidate_matrix_converts(kind):
    layer = gru(kind, num_layers=1)
    make_diagonal(layer)
    if kind is tidegate.GRU:
        zero(layer, "n", "bias_hh")
    both_ways(layer)


@pytest.mark.parametrize("kind", [tidegate.GRU, tidegate.ResetBeforeGRU])
def test_the_converted_gru_computes_the_same(kind):
    other = both_ways(gru(kind, H=1, engine="eager", recompute=True, bias=False))
    assert (other.engine, other.recompute) == ("eager", True)


@pytest.mark.parametrize("kind", [tidegate.GRU, tidegate.ResetBeforeGRU])
def test_one_unit_converts(kind):
    layer = gru(kind, H=1, num_layers=2, bidirectional=True, bias=kind is tidegate.ResetBeforeGRU)
    both_ways(layer)


@pytest.mark.parametrize("kind", [tidegate.GRU, tidegate.ResetBeforeGRU])
def test_a_candidate_without_recurrence_converts(kind):
    layer = gru(kind, num_layers=2)
    zero(layer, "n", "weight_hh")
    if kind is tidegate.GRU:
        zero(layer, "n", "bias_hh")
    both_ways(layer)


@pytest.mark.parametrize("kind", [tidegate.GRU, tidegate.ResetBeforeGRU])
@pytest.mark.parametrize("bias", [True, False])
def test_constant_reset_gates_convert_with_their_biases(kind, bias):
    layer = gru(kind, bias=bias)
    zero(layer, "r", "weight")
    other = both_ways(layer)
    if bias:
        assert not torch.equal(other.gate_parameters("n")["weight_hh_l0"], layer.gate_parameters("n")["weight_hh_l0"])


@pytest.mark.parametrize("kind", [tidegate.GRU, tidegate.ResetBeforeGRU])
def test_units_that_share_a_reset_gate_may_be_coupled(kind):
    layer = gru(kind)
    with torch.no_grad():
        for rows in layer.gate_parameters("r").values():
            rows[1] = rows[0]
            rows[3] = rows[2]
        U = layer.gate_parameters("n")["weight_hh_l0"]
        U[:2, 2:] = U[2:, :2] = 0
        if kind is tidegate.GRU:
            layer.gate_parameters("n")["bias_hh_l0"].zero_()
    both_ways(layer)


def test_layers_that_cannot_be_converted_are_refused_with_the_reason():
    with pytest.raises(tidegate.ArgumentError, match=r"U_n couples unit 0 to unit 1 in l0 \(12 such pairs\)"):
        convert.to_reset_before(gru())
    with pytest.raises(tidegate.ArgumentError, match=r"U_n couples unit 0 to unit 1 in l0 \(12 such pairs\)"):
        convert.to_reset_after(gru(tidegate.ResetBeforeGRU))
    layer = gru()
    make_diagonal(layer)
    with pytest.raises(tidegate.ArgumentError, match="recurrent bias of units 0 and 3 others in l0 is not zero"):
        convert.to_reset_before(layer)
    with pytest.raises(tidegate.ArgumentError, match="must be one of GRU"):
        convert.to_reset_before(tidegate.LSTM(D, H))


def test_the_two_grus_of_refused_layers_differ():
    layer, other = gru(), gru(tidegate.ResetBeforeGRU)
    other.load_state_dict(layer.state_dict())
    x = torch.randn(7, 2, D, dtype=torch.float64)
    assert (layer(x)[0] - other(x)[0]).abs().max() > 1e-3
