"""Keras weight lists against the equations of Keras' own layers, written out here with its gate order and layout."""

import numpy as np
import pytest
import torch

import tidegate
from tidegate import convert

D, H = 3, 4


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def arrays(gates: int, bias: str | None, random) -> list[np.ndarray]:
    shapes = [(D, gates * H), (H, gates * H)]
    shapes += {"one": [(gates * H,)], "two": [(2, gates * H)], None: []}[bias]
    return [random.normal(size=shape) for shape in shapes]


def simple_rnn(x, weights):
    kernel, recurrent, *bias = weights
    h, outputs = np.zeros((len(x), H)), []
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ kernel + (bias[0] if bias else 0) + h @ recurrent)
        outputs.append(h)
    return np.stack(outputs, 1)


def gru(x, weights, reset_after):
    """Gates z, r, h side by side; with reset_after the recurrent bias is inside the reset."""
    kernel, recurrent, *bias = weights
    b_in, b_rec = (bias[0] if reset_after else (bias[0], 0 * bias[0])) if bias else (np.zeros(3 * H),) * 2
    h, outputs = np.zeros((len(x), H)), []
    for t in range(x.shape[1]):
        x_z, x_r, x_h = np.split(x[:, t] @ kernel + b_in, 3, axis=1)
        r_z, r_r, _ = np.split(h @ recurrent + b_rec, 3, axis=1)
        z, r = sigmoid(x_z + r_z), sigmoid(x_r + r_r)
        if reset_after:
            candidate = np.tanh(x_h + r * (h @ recurrent[:, 2 * H :] + b_rec[2 * H :]))
        else:
            candidate = np.tanh(x_h + (r * h) @ recurrent[:, 2 * H :])
        h = z * h + (1 - z) * candidate
        outputs.append(h)
    return np.stack(outputs, 1)


def lstm(x, weights):
    """Gates i, f, c, o side by side; one bias."""
    kernel, recurrent, *bias = weights
    h = c = np.zeros((len(x), H))
    outputs = []
    for t in range(x.shape[1]):
        i, f, g, o = np.split(x[:, t] @ kernel + h @ recurrent + (bias[0] if bias else 0), 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs, 1)


KINDS = [
    ("rnn", 1, "one", simple_rnn, tidegate.RNN, {}),
    ("gru", 3, "two", lambda x, w: gru(x, w, True), tidegate.GRU, {}),
    ("gru", 3, "one", lambda x, w: gru(x, w, False), tidegate.ResetBeforeGRU, {"reset_after": False}),
    ("lstm", 4, "one", lstm, tidegate.LSTM, {}),
]


@pytest.mark.parametrize(("cell", "gates", "bias", "compute", "kind", "options"), KINDS)
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_keras_lists_give_the_numbers_of_keras_in_both_directions(
    cell, gates, bias, compute, kind, options, with_bias, bidirectional
):
    random = np.random.default_rng(0)
    lists = [arrays(gates, bias if with_bias else None, random) for _ in range(2 if bidirectional else 1)]
    flat = [array for one in lists for array in one]
    layer = convert.from_keras(cell, flat, **options)
    assert type(layer) is kind
    assert layer.batch_first
    x = random.normal(size=(2, 5, D))
    expected = compute(x, lists[0])
    if bidirectional:
        expected = np.concatenate([expected, compute(x[:, ::-1], lists[1])[:, ::-1]], axis=-1)
    assert np.abs(layer(torch.from_numpy(x))[0].detach().numpy() - expected).max() < 1e-13
    (back,) = convert.to_keras(layer)
    for mine, theirs in zip(back, flat, strict=True):
        assert np.array_equal(mine, theirs)


def test_a_layer_converted_to_keras_computes_the_same():
    x = np.random.default_rng(1).normal(size=(2, 5, D))
    for layer, compute in (
        (tidegate.GRU(D, H, dtype=torch.float64, batch_first=True), lambda x, w: gru(x, w, True)),
        (tidegate.ResetBeforeGRU(D, H, dtype=torch.float64, batch_first=True), lambda x, w: gru(x, w, False)),
        (tidegate.LSTM(D, H, dtype=torch.float64, batch_first=True), lstm),
        (tidegate.RNN(D, H, dtype=torch.float64, batch_first=True), simple_rnn),
    ):
        (weights,) = convert.to_keras(layer)
        assert np.abs(layer(torch.from_numpy(x))[0].detach().numpy() - compute(x, weights)).max() < 1e-13


def test_stacked_layers_are_lists_of_lists():
    layer = tidegate.LSTM(D, H, 3, bidirectional=True, dtype=torch.float64)
    lists = convert.to_keras(layer)
    assert [len(arrays) for arrays in lists] == [6, 6, 6]
    again, x = convert.from_keras("lstm", *lists), torch.randn(2, 5, D, dtype=torch.float64)
    assert torch.allclose(again(x)[0], layer(x.transpose(0, 1))[0].transpose(0, 1), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: convert.from_keras("mgu", []), "`cell` must be one of rnn, gru, lstm, got 'mgu'"),
        (lambda: convert.from_keras("gru", [np.zeros((3, 12))]), r"got lengths \[1\]"),
        (lambda: convert.from_keras("gru", [np.zeros((3, 12)), np.zeros((4, 12)), np.zeros(12)]), "`bias` must be an"),
        (lambda: convert.from_keras("gru", [np.zeros((3, 12)), np.zeros((5, 12))]), "`U_r` must have shape"),
        (lambda: convert.from_keras("lstm", [np.zeros((3, 10)), np.zeros((4, 16))]), "`kernel` must hold 4 blocks"),
        (lambda: convert.to_keras(tidegate.PeepholeLSTM(3, 4)), "Keras has no PeepholeLSTM"),
        (lambda: convert.to_keras(tidegate.LSTM(3, 4, proj_size=2)), "no projection"),
        (lambda: convert.to_keras(torch.nn.GRU(3, 4)), "from_torch"),
    ],
)
def test_error_messages_say_what_to_write(call, match):
    with pytest.raises((tidegate.ArgumentError, tidegate.ShapeError), match=match):
        call()
