"""ONNX nodes against the equations of the ONNX operator specification, written out here in its letters."""

import numpy as np
import pytest
import torch

import tidegate
from tidegate import convert
from tidegate.nn.convert import OnnxNode

D, H = 3, 4


def f(x):
    return 1 / (1 + np.exp(-x))


def run(node: OnnxNode, x):
    """Y of the specification as (T, B, directions * H)."""
    outputs = []
    for k, order in enumerate((x, x[::-1])[: len(node.W)]):
        B = node.B[k] if node.B is not None else np.zeros(2 * node.W.shape[1])
        P = node.P[k] if node.P is not None else np.zeros(3 * H)
        Y = {"RNN": rnn, "GRU": gru, "LSTM": lstm}[node.op_type](order, node, node.W[k], node.R[k], B, P)
        outputs.append(Y[::-1] if k else Y)
    return np.concatenate(outputs, -1)


def rnn(x, node, W, R, B, P):
    g = (lambda v: np.maximum(v, 0)) if node.activations == ("Relu",) else np.tanh
    (Wb, Rb), Ht, Y = np.split(B, 2), np.zeros((x.shape[1], H)), []
    for Xt in x:
        Ht = g(Xt @ W.T + Ht @ R.T + Wb + Rb)
        Y.append(Ht)
    return np.stack(Y)


def gru(x, node, W, R, B, P):
    (Wz, Wr, Wh), (Rz, Rr, Rh) = np.split(W, 3), np.split(R, 3)
    Wbz, Wbr, Wbh, Rbz, Rbr, Rbh = np.split(B, 6)
    Ht, Y = np.zeros((x.shape[1], H)), []
    for Xt in x:
        zt = f(Xt @ Wz.T + Ht @ Rz.T + Wbz + Rbz)
        rt = f(Xt @ Wr.T + Ht @ Rr.T + Wbr + Rbr)
        if node.linear_before_reset == 0:
            ht = np.tanh(Xt @ Wh.T + (rt * Ht) @ Rh.T + Rbh + Wbh)
        else:
            ht = np.tanh(Xt @ Wh.T + rt * (Ht @ Rh.T + Rbh) + Wbh)
        Ht = (1 - zt) * ht + zt * Ht
        Y.append(Ht)
    return np.stack(Y)


def lstm(x, node, W, R, B, P):
    (Wi, Wo, Wf, Wc), (Ri, Ro, Rf, Rc) = np.split(W, 4), np.split(R, 4)
    Wbi, Wbo, Wbf, Wbc, Rbi, Rbo, Rbf, Rbc = np.split(B, 8)
    Pi, Po, Pf = np.split(P, 3)
    Ht = Ct = np.zeros((x.shape[1], H))
    Y = []
    for Xt in x:
        it = f(Xt @ Wi.T + Ht @ Ri.T + Pi * Ct + Wbi + Rbi)
        ft = f(Xt @ Wf.T + Ht @ Rf.T + Pf * Ct + Wbf + Rbf)
        ct = np.tanh(Xt @ Wc.T + Ht @ Rc.T + Wbc + Rbc)
        Ct = ft * Ct + it * ct
        ot = f(Xt @ Wo.T + Ht @ Ro.T + Po * Ct + Wbo + Rbo)
        Ht = ot * np.tanh(Ct)
        Y.append(Ht)
    return np.stack(Y)


KINDS = [
    ("RNN", 1, {}, tidegate.RNN),
    ("RNN", 1, {"activations": ("Relu",)}, tidegate.RNN),
    ("GRU", 3, {"linear_before_reset": 0}, tidegate.ResetBeforeGRU),
    ("GRU", 3, {"linear_before_reset": 1}, tidegate.GRU),
    ("LSTM", 4, {}, tidegate.LSTM),
    ("LSTM", 4, {"P": True}, tidegate.PeepholeLSTM),
]


@pytest.mark.parametrize(("op", "gates", "options", "kind"), KINDS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_onnx_nodes_give_the_numbers_of_the_specification_in_both_directions(op, gates, options, kind, bias, direction):
    random, n = np.random.default_rng(0), 1 + (direction == "bidirectional")
    options = options | ({"P": random.normal(size=(n, 3 * H))} if "P" in options else {})
    node = OnnxNode(
        op,
        W=random.normal(size=(n, gates * H, D)),
        R=0.5 * random.normal(size=(n, gates * H, H)),
        B=random.normal(size=(n, 2 * gates * H)) if bias else None,
        direction=direction,
        **options,
    )
    layer, x = convert.from_onnx(node), random.normal(size=(5, 2, D))
    assert type(layer) is kind
    expected = run(node, x)
    assert np.abs(layer(torch.from_numpy(x))[0].detach().numpy() - expected).max() < 1e-13 * np.abs(expected).max()
    (back,) = convert.to_onnx(layer)
    for name in ("W", "R", "B", "P"):
        assert np.array_equal(getattr(back, name), getattr(node, name))
    assert (back.op_type, back.direction, back.linear_before_reset, back.activations) == (
        node.op_type,
        node.direction,
        node.linear_before_reset,
        node.activations,
    )


def test_stacked_layers_are_one_node_each():
    layer = tidegate.GRU(D, H, 2, bidirectional=True, dtype=torch.float64)
    nodes = convert.to_onnx(layer)
    x = np.random.default_rng(1).normal(size=(5, 2, D))
    expected = run(nodes[1], run(nodes[0], x))
    for same in (layer, convert.from_onnx(*nodes)):
        assert np.abs(same(torch.from_numpy(x))[0].detach().numpy() - expected).max() < 1e-13


def one(**changes):
    options = {"op_type": "GRU", "W": np.zeros((1, 3 * H, D)), "R": np.zeros((1, 3 * H, H))}
    return OnnxNode(**options | changes)


@pytest.mark.parametrize(
    ("node", "match"),
    [
        (one(op_type="Gemm"), "`op_type` must be one of RNN, GRU, LSTM, got 'Gemm'"),
        (one(direction="reverse"), "flip the time"),
        (one(activations=("HardSigmoid", "Tanh")), "`activations` of GRU must be"),
        (one(direction="bidirectional"), "must have 2 directions"),
        (one(W=np.zeros((1, 10, D))), "`W` must hold 3 blocks"),
        (one(R=np.zeros((3 * H, H))), "`R` must be an array of floats with 3 dimensions"),
        (one(B="none"), "`B` must be an array"),
    ],
)
def test_error_messages_say_what_to_write(node, match):
    with pytest.raises((tidegate.ArgumentError, tidegate.ShapeError), match=match):
        convert.from_onnx(node)


def test_cells_onnx_does_not_have_are_refused():
    with pytest.raises(tidegate.ArgumentError, match="ONNX has no ResidualRNN"):
        convert.to_onnx(tidegate.ResidualRNN(D, H))
    with pytest.raises(tidegate.ArgumentError, match="of one kind"):
        convert.from_onnx(one(), one(linear_before_reset=1))
