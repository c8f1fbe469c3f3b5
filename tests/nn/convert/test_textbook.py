"""The textbook's separate parameters against its own formulas, rows x W, written out here."""

import numpy as np
import pytest
import torch

import tidegate
from tidegate import convert

D, H = 3, 4


def s(x):
    return 1 / (1 + np.exp(-x))


def rnn(X, p):
    H_t, outputs = np.zeros((X.shape[1], H)), []
    for X_t in X:
        H_t = np.tanh(X_t @ p["W_xh"] + H_t @ p["W_hh"] + p["b_h"])
        outputs.append(H_t)
    return np.stack(outputs)


def gru(X, p):
    H_t, outputs = np.zeros((X.shape[1], H)), []
    for X_t in X:
        R = s(X_t @ p["W_xr"] + H_t @ p["W_hr"] + p["b_r"])
        Z = s(X_t @ p["W_xz"] + H_t @ p["W_hz"] + p["b_z"])
        tilde = np.tanh(X_t @ p["W_xh"] + (R * H_t) @ p["W_hh"] + p["b_h"])
        H_t = Z * H_t + (1 - Z) * tilde
        outputs.append(H_t)
    return np.stack(outputs)


def lstm(X, p):
    H_t = C = np.zeros((X.shape[1], H))
    peep = {k: p.get(f"w_c{k}", 0) for k in "ifo"}
    outputs = []
    for X_t in X:
        I = s(X_t @ p["W_xi"] + H_t @ p["W_hi"] + peep["i"] * C + p["b_i"])
        F = s(X_t @ p["W_xf"] + H_t @ p["W_hf"] + peep["f"] * C + p["b_f"])
        C = F * C + I * np.tanh(X_t @ p["W_xc"] + H_t @ p["W_hc"] + p["b_c"])
        O = s(X_t @ p["W_xo"] + H_t @ p["W_ho"] + peep["o"] * C + p["b_o"])
        H_t = O * np.tanh(C)
        outputs.append(H_t)
    return np.stack(outputs)


def named(letters, random, peepholes=""):
    p = {}
    for k in letters:
        p |= {f"W_x{k}": random.normal(size=(D, H)), f"W_h{k}": random.normal(size=(H, H))}
        p[f"b_{k}"] = random.normal(size=H)
    return p | {f"w_c{k}": random.normal(size=H) for k in peepholes}


KINDS = [
    ("h", "", rnn, tidegate.RNN),
    ("rzh", "", gru, tidegate.ResetBeforeGRU),
    ("ifco", "", lstm, tidegate.LSTM),
    ("ifco", "ifo", lstm, tidegate.PeepholeLSTM),
]


@pytest.mark.parametrize(("letters", "peepholes", "compute", "kind"), KINDS)
def test_textbook_parameters_give_the_textbooks_numbers_in_both_directions(letters, peepholes, compute, kind):
    random = np.random.default_rng(0)
    p = named(letters, random, peepholes)
    layer, x = convert.from_textbook(p), random.normal(size=(5, 2, D))
    assert type(layer) is kind
    assert np.abs(layer(torch.from_numpy(x))[0].detach().numpy() - compute(x, p)).max() < 1e-13
    (back,) = convert.to_textbook(layer)
    assert back.keys() == p.keys()
    assert all(np.array_equal(back[k], p[k]) for k in p)


def test_a_trained_layer_with_two_biases_converts_to_the_textbook():
    layer, x = tidegate.LSTM(D, H, dtype=torch.float64), np.random.default_rng(1).normal(size=(5, 2, D))
    (p,) = convert.to_textbook(layer)
    assert np.abs(layer(torch.from_numpy(x))[0].detach().numpy() - lstm(x, p)).max() < 1e-13


def test_torchs_gru_converts_to_the_textbook_only_where_both_are_equal():
    layer, x = tidegate.GRU(D, H, dtype=torch.float64), np.random.default_rng(1).normal(size=(5, 2, D))
    with pytest.raises(tidegate.ArgumentError, match="different functions"):
        convert.to_textbook(layer)
    with torch.no_grad():
        gate = layer.gate_parameters("n")
        gate["weight_hh_l0"].copy_(torch.diag(torch.randn(H)))
        gate["bias_hh_l0"].zero_()
    (p,) = convert.to_textbook(layer)
    assert np.abs(layer(torch.from_numpy(x))[0].detach().numpy() - gru(x, p)).max() < 1e-13


def test_error_messages_say_what_to_write():
    p = named("rzh", np.random.default_rng(0))
    del p["b_z"]
    with pytest.raises(tidegate.ArgumentError, match="the names of a layer must be"):
        convert.from_textbook(p)
    with pytest.raises(tidegate.ArgumentError, match="one direction"):
        convert.to_textbook(tidegate.LSTM(D, H, bidirectional=True))
    with pytest.raises(tidegate.ArgumentError, match="the textbook has no ResidualRNN"):
        convert.to_textbook(tidegate.ResidualRNN(D, H))
