"""Traces: names, shapes, the very bits of the plain forward, and gradients against a loop written out here."""

import pytest
import torch

import tidegate
from tidegate.engines.choose import ENGINES
from tidegate.nn.stack import suffixes

each_engine = pytest.mark.parametrize("engine", [name for name in ("auto", *ENGINES) if name != "torch"])
LAYERS = {
    "rnn": lambda **k: tidegate.RNN(2, 3, **k),
    "gru": lambda **k: tidegate.GRU(2, 3, **k),
    "lstm": lambda **k: tidegate.LSTM(2, 3, **k),
    "before": lambda **k: tidegate.ResetBeforeGRU(2, 3, **k),
    "peephole": lambda **k: tidegate.PeepholeLSTM(2, 3, **k),
    "residual": lambda **k: tidegate.ResidualRNN(2, 3, **k),
}
each_layer = pytest.mark.parametrize("kind", LAYERS)


@each_engine
@each_layer
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_outputs_have_the_bits_of_the_plain_forward(kind, engine, dtype):
    layer = LAYERS[kind](num_layers=2, bidirectional=True, batch_first=True, engine=engine, dtype=dtype)
    x = torch.randn(4, 7, 2, dtype=dtype)
    for options in ({}, {"lengths": [7, 2, 5, 1]}):
        traced = tidegate.trace(layer, x, **options)
        y, state = layer(x, **options)
        assert torch.equal(traced.outputs, y)
        for s, t in zip(*(torch.utils._pytree.tree_leaves(u) for u in (traced.state, state)), strict=True):
            assert torch.equal(s, t)
        names = [f"{n}_{s}" for s in suffixes(layer) for n in (*layer.cell.state, *layer.cell.gates)]
        assert list(traced) == names
        assert all(traced[n].shape == (7, 4, 3) for n in names)
        if not options:
            assert torch.equal(torch.cat([traced["h_l1"], traced["h_l1_reverse"]], -1).transpose(0, 1), y)


def lstm_loop(layer, x, suffix="l0"):
    """LSTM of torch's documentation, step by step, with every value kept for its gradient."""
    W, U, b, c = (getattr(layer, f"{n}_{suffix}") for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    h = cell = torch.zeros(x.shape[1], 3, dtype=x.dtype)
    kept = {n: [] for n in "hcifgo"}
    times = range(len(x))
    for t in reversed(times) if suffix.endswith("reverse") else times:
        i, f, g, o = (x[t] @ W.T + b + h @ U.T + c).chunk(4, -1)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        i, f, g, o = (v * 1 for v in (i, f, g, o))
        cell = f * cell + i * g
        h = o * cell.tanh()
        for n, v in zip("hcifgo", (h, cell, i, f, g, o)):
            v.retain_grad()
            kept[n].append(v)
    if suffix.endswith("reverse"):
        kept = {n: v[::-1] for n, v in kept.items()}
    return torch.stack(kept["h"]), kept


def gru_loop(layer, x, before):
    W, U, b, c = (getattr(layer, f"{n}_l0") for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    (Ur, Uz, Un), (cr, cz, cn) = U.chunk(3), c.chunk(3)
    h = torch.zeros(x.shape[1], 3, dtype=x.dtype)
    kept = {n: [] for n in "hrzn"}
    for t in range(len(x)):
        ar, az, an = (x[t] @ W.T + b).chunk(3, -1)
        r, z = (ar + h @ Ur.T + cr).sigmoid(), (az + h @ Uz.T + cz).sigmoid()
        n = (an + ((r * h) @ Un.T + cn if before else r * (h @ Un.T + cn))).tanh()
        h = (1 - z) * n + z * h
        for name, v in zip("hrzn", (h, r, z, n)):
            v.retain_grad()
            kept[name].append(v)
    return torch.stack(kept["h"]), kept


def assert_gradients(found, kept, suffix):
    for name, values in kept.items():
        expected = torch.stack([v.grad for v in values])
        assert (found[f"{name}_{suffix}"] - expected).abs().max() < 1e-12, name


@each_engine
def test_gradients_of_gates_and_states_are_those_of_a_loop(engine):
    layer = tidegate.LSTM(2, 3, 2, bidirectional=True, dtype=torch.float64, engine=engine)
    x = torch.randn(5, 4, 2, dtype=torch.float64)
    weight = torch.randn(5, 4, 6, dtype=torch.float64)
    traced = tidegate.trace(layer, x)
    found = traced.gradients((traced.outputs * weight).sum() + traced.state[1].square().sum())
    y, forward = lstm_loop(layer, x)
    y_reverse, backward = lstm_loop(layer, x, "l0_reverse")
    both = torch.cat([y, y_reverse], -1)
    top, forward_top = lstm_loop(layer, both, "l1")
    top_reverse, backward_top = lstm_loop(layer, both, "l1_reverse")
    all_kept = {"l0": forward, "l0_reverse": backward, "l1": forward_top, "l1_reverse": backward_top}
    finals = [kept["c"][0 if "reverse" in suffix else -1] for suffix, kept in all_kept.items()]
    ((torch.cat([top, top_reverse], -1) * weight).sum() + sum(c.square().sum() for c in finals)).backward()
    for suffix, kept in all_kept.items():
        assert_gradients(found, kept, suffix)


@pytest.mark.parametrize("before", [False, True])
def test_a_loss_on_gates_themselves_counts_too(before):
    layer = (tidegate.ResetBeforeGRU if before else tidegate.GRU)(2, 3, dtype=torch.float64)
    x = torch.randn(5, 4, 2, dtype=torch.float64)
    traced = tidegate.trace(layer, x)
    found = traced.gradients(traced["z_l0"].square().sum() + traced["h_l0"][2].sum() + traced.outputs[-1].sum())
    y, kept = gru_loop(layer, x, before)
    (torch.stack(kept["z"]).square().sum() + kept["h"][2].sum() + y[-1].sum()).backward()
    assert_gradients(found, kept, "l0")


@each_layer
def test_traces_of_packed_and_shortened_sequences_keep_the_callers_order(kind):
    layer = LAYERS[kind](dtype=torch.float64)
    x, lengths = torch.randn(6, 3, 2, dtype=torch.float64), torch.tensor([2, 6, 4])
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
    traces = [tidegate.trace(layer, x, lengths=lengths), tidegate.trace(layer, packed)]
    alone = [tidegate.trace(layer, x[:n, b]) for b, n in enumerate(lengths)]
    gradients = [t.gradients(torch.utils._pytree.tree_leaves(t.state)[-1].square().sum()) for t in (*traces, *alone)]
    for traced, found in zip(traces, gradients):
        for name in traced:
            for b, n in enumerate(lengths):
                assert (traced[name][:n, b] - alone[b][name][:, 0]).abs().max() < 1e-13
                assert (found[name][:n, b] - gradients[2 + b][name][:, 0]).abs().max() < 1e-13
                assert not found[name][n:, b].any()


def test_a_trace_with_resets_equals_the_traces_of_the_pieces():
    layer = tidegate.GRU(2, 3, dtype=torch.float64)
    x, resets = torch.randn(6, 1, 2, dtype=torch.float64), torch.zeros(1, 6, dtype=torch.bool)
    resets[0, 4] = True
    whole, first, second = (
        tidegate.trace(layer, x, resets=resets),
        tidegate.trace(layer, x[:4]),
        tidegate.trace(layer, x[4:]),
    )
    dw, d1, d2 = (t.gradients(t.outputs.square().sum()) for t in (whole, first, second))
    for name in whole:
        assert (whole[name] - torch.cat([first[name], second[name]])).abs().max() < 1e-13
        assert (dw[name] - torch.cat([d1[name], d2[name]])).abs().max() < 1e-13


def test_projected_lstm_is_traced():
    layer = tidegate.LSTM(2, 4, proj_size=2, dtype=torch.float64)
    traced = tidegate.trace(layer, torch.randn(5, 3, 2, dtype=torch.float64))
    assert traced["h_l0"].shape == (5, 3, 2)
    assert traced["c_l0"].shape == traced["o_l0"].shape == (5, 3, 4)
    found = traced.gradients(traced.outputs[-1].sum())
    h = (traced["o_l0"] * traced["c_l0"].tanh())[-1].detach().requires_grad_()
    (h @ layer.weight_hr_l0.T).sum().backward()
    assert torch.allclose(found["o_l0"][-1], h.grad * traced["c_l0"][-1].tanh())


def test_errors_name_what_is_wrong():
    layer = tidegate.GRU(2, 3)
    traced = tidegate.trace(layer, torch.randn(5, 1, 2))
    with pytest.raises(tidegate.ArgumentError, match="one of h_l0, r_l0, z_l0, n_l0, got 'f_l0'"):
        traced["f_l0"]
    assert traced.get("f_l0") is None
    assert "r_l0" in traced
    with pytest.raises(tidegate.ArgumentError, match="`loss` must be a tensor of one element"):
        traced.gradients(traced.outputs)
    with pytest.raises(tidegate.ArgumentError, match="from_torch"):
        tidegate.trace(torch.nn.GRU(2, 3), torch.randn(5, 1, 2))
