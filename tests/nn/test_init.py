"""Initialisations have the properties that their names promise; a forget bias is the sum of the two biases."""

import pytest
import torch

import tidegate
from tidegate import init


def test_the_default_initialisation_is_that_of_torch():
    layer = tidegate.GRU(3, 16)
    torch.manual_seed(0)
    assert init.default_(layer) is layer
    torch.manual_seed(0)
    for p, q in zip(layer.parameters(), torch.nn.GRU(3, 16).parameters(), strict=True):
        assert torch.equal(p, q)


@pytest.mark.parametrize(
    "layer", [tidegate.LSTM(3, 6, 2, bidirectional=True), tidegate.ResetBeforeGRU(3, 6), tidegate.GRUCell(3, 6)]
)
def test_orthogonal_initialises_the_matrix_of_every_gate(layer):
    before = [p.clone() for name, p in layer.named_parameters() if "weight_hh" not in name]
    init.orthogonal_(layer, 0.5)
    for gate in layer.cell.gates:
        for name, U in layer.gate_parameters(gate).items():
            if "weight_hh" in name:
                assert torch.allclose(U @ U.T, 0.25 * torch.eye(6), atol=1e-6)
    after = [p for name, p in layer.named_parameters() if "weight_hh" not in name]
    assert all(map(torch.equal, before, after))


@pytest.mark.parametrize("layer", [tidegate.LSTM(3, 6, 2), tidegate.PeepholeLSTM(3, 6), tidegate.LSTMCell(3, 6)])
def test_the_forget_bias_is_the_sum_of_both(layer):
    others = layer.gate_parameters("i")
    before = [rows.clone() for rows in others.values()]
    init.forget_bias_(layer, 2.5)
    rows = layer.gate_parameters("f")
    for name in rows:
        if name.startswith("bias_ih"):
            assert torch.equal(rows[name] + rows[name.replace("ih", "hh")], torch.full((6,), 2.5))
    assert all(map(torch.equal, before, others.values()))


@pytest.mark.parametrize(
    "layer", [tidegate.LSTM(3, 500, 2), tidegate.GRU(3, 500), tidegate.RecurrentCell(tidegate.cells.GRU, 3, 500)]
)
def test_chrono_gates_have_time_constants_over_the_whole_range(layer):
    init.chrono_(layer, 100, 10)
    gate = "f" if "f" in layer.cell.gates else "z"
    rows = layer.gate_parameters(gate)
    for name in rows:
        if name.startswith("bias_ih"):
            bias = rows[name] + rows[name.replace("ih", "hh")]
            T = 1 / (1 - bias.double().sigmoid())
            assert 10 - 1e-3 <= T.min() < 11
            assert 99 < T.max() <= 100 + 1e-2
            assert abs(T.mean() - 55) < 5
            if gate == "f":
                opposite = layer.gate_parameters("i")
                assert torch.equal(opposite[name] + opposite[name.replace("ih", "hh")], -bias)


def test_an_identity_relu_rnn_adds_up_its_inputs():
    layer = init.identity_(tidegate.RNN(6, 6, nonlinearity="relu"))
    with torch.no_grad():
        layer.weight_ih_l0.copy_(torch.eye(6))
    x = torch.rand(50, 2, 6)
    assert torch.allclose(layer(x)[0], x.cumsum(0))


def test_an_initialisation_is_chosen_by_name():
    layer = tidegate.LSTM(3, 6)
    assert init.by_name(layer, "forget-bias", 3.0) is layer
    assert torch.equal(layer.gate_parameters("f")["bias_ih_l0"], torch.full((6,), 3.0))
    assert set(init.NAMES) == {"default", "orthogonal", "forget-bias", "chrono", "identity"}


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: init.by_name(tidegate.GRU(3, 6), "xavier"), "must be one of default, orthogonal"),
        (lambda: init.by_name(tidegate.GRU(3, 6), "chrono"), "chrono takes longest, shortest: missing"),
        (lambda: init.by_name(tidegate.GRU(3, 6), "chrono", float("nan")), "must be finite"),
        (lambda: init.forget_bias_(tidegate.GRU(3, 6)), r"GRU has no forget gate f.*gate_bias_\(layer, \"z\""),
        (lambda: init.forget_bias_(tidegate.LSTM(3, 6, bias=False)), "got bias=False"),
        (lambda: init.chrono_(tidegate.LSTM(3, 6, bias=False), 9), "got bias=False"),
        (lambda: init.chrono_(tidegate.LSTM(3, 6), 1), "1 < shortest <= longest, got 2.0 and 1"),
        (lambda: init.chrono_(tidegate.RNN(3, 6), 9), "RNN has no gate f or z"),
        (lambda: init.identity_(tidegate.GRU(3, 6)), "one gate for identity initialisation, got GRU"),
        (lambda: init.gate_bias_(tidegate.GRU(3, 6), "f", 1), "`gate` of GRU must be one of r, z, n, got 'f'"),
    ],
)
def test_error_messages_say_what_to_write(call, match):
    with pytest.raises(tidegate.ArgumentError, match=match):
        call()
