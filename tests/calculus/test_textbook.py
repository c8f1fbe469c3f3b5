"""BPTT written by hand from published derivations, with their sums over time, against the derived one: 1e-12.

Row vectors: a row of x[t] or h[t] is one sequence of the batch, q = p U + c, as in the derivations cited, transposed
where they use columns. Each function returns (outputs, gradients) for L = sum(h * d_h) + sum(c_T * d_c).
"""

import numpy as np
import pytest
import torch

from tidegate.calculus import trace
from tidegate.cells import CELLS
from tidegate.engines import choose
from tidegate.verification.problem import random_problem


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def rnn(x, h0, W, U, b, c, d_h):
    """Goodfellow, Bengio and Courville, Deep Learning (2016), section 10.2.2: with column vectors,

    grad_h(t) = U^T diag(1 - h(t+1)^2) grad_h(t+1) + (the output's share),
    grad_b = sum_t diag(1 - h(t)^2) grad_h(t), grad_U = sum_t diag(1 - h(t)^2) grad_h(t) h(t-1)^T, and W likewise.
    """
    h = [h0]
    for x_t in x:
        h.append(np.tanh(x_t @ W["n"] + b["n"] + h[-1] @ U["n"] + c["n"]))
    G = zeros(W, U, b, c, x)
    grad_h = np.zeros_like(h0)
    for t in reversed(range(len(x))):
        grad_h = grad_h + d_h[t]
        error = (1 - h[t + 1] ** 2) * grad_h
        G["W"]["n"] += x[t].T @ error
        G["U"]["n"] += h[t].T @ error
        G["b"]["n"] += error.sum(0)
        G["c"]["n"] += error.sum(0)
        G["x"][t] = error @ W["n"].T
        grad_h = error @ U["n"].T
    return np.stack(h[1:]), G | {"h_0": grad_h}


def residual(x, h0, W, U, b, c, d_h, g=np.tanh, slope=lambda n: 1 - n**2):
    """The same with h(t) = h(t-1) + n(t): the carried gradient keeps itself, grad_h(t) += grad_h(t+1)."""
    h, n = [h0], []
    for x_t in x:
        n.append(g(x_t @ W["n"] + b["n"] + h[-1] @ U["n"] + c["n"]))
        h.append(h[-1] + n[-1])
    G = zeros(W, U, b, c, x)
    grad_h = np.zeros_like(h0)
    for t in reversed(range(len(x))):
        grad_h = grad_h + d_h[t]
        error = slope(n[t]) * grad_h
        G["W"]["n"] += x[t].T @ error
        G["U"]["n"] += h[t].T @ error
        G["b"]["n"] += error.sum(0)
        G["c"]["n"] += error.sum(0)
        G["x"][t] = error @ W["n"].T
        grad_h = grad_h + error @ U["n"].T
    return np.stack(h[1:]), G | {"h_0": grad_h}


def gru(x, h0, W, U, b, c, d_h):
    """The reset after the product, on the equations of torch.nn.GRU's documentation, chain rule line by line."""
    h, saved = [h0], []
    for x_t in x:
        r = sigmoid(x_t @ W["r"] + b["r"] + h[-1] @ U["r"] + c["r"])
        z = sigmoid(x_t @ W["z"] + b["z"] + h[-1] @ U["z"] + c["z"])
        m = h[-1] @ U["n"] + c["n"]
        n = np.tanh(x_t @ W["n"] + b["n"] + r * m)
        saved.append((r, z, m, n))
        h.append((1 - z) * n + z * h[-1])
    G = zeros(W, U, b, c, x)
    carried = np.zeros_like(h0)
    for t in reversed(range(len(x))):
        r, z, m, n = saved[t]
        delta = d_h[t] + carried
        d_n = delta * (1 - z) * (1 - n**2)
        d_z = delta * (h[t] - n) * z * (1 - z)
        d_m = d_n * r
        d_r = d_n * m * r * (1 - r)
        for g, d_input, d_product in (("r", d_r, d_r), ("z", d_z, d_z), ("n", d_n, d_m)):
            G["W"][g] += x[t].T @ d_input
            G["b"][g] += d_input.sum(0)
            G["U"][g] += h[t].T @ d_product
            G["c"][g] += d_product.sum(0)
            G["x"][t] += d_input @ W[g].T
        carried = delta * z + d_r @ U["r"].T + d_z @ U["z"].T + d_m @ U["n"].T
    return np.stack(h[1:]), G | {"h_0": carried}


def reset_before_gru(x, h0, W, U, b, c, d_h):
    """The reset before the product: Minchen Li, "A tutorial on backward propagation through time (BPTT) in the gated
    recurrent unit (GRU) RNN" (2016), whose U and W are our W and U."""
    h, saved = [h0], []
    for x_t in x:
        r = sigmoid(x_t @ W["r"] + b["r"] + h[-1] @ U["r"] + c["r"])
        z = sigmoid(x_t @ W["z"] + b["z"] + h[-1] @ U["z"] + c["z"])
        n = np.tanh(x_t @ W["n"] + b["n"] + (r * h[-1]) @ U["n"] + c["n"])
        saved.append((r, z, n))
        h.append((1 - z) * n + z * h[-1])
    G = zeros(W, U, b, c, x)
    carried = np.zeros_like(h0)
    for t in reversed(range(len(x))):
        r, z, n = saved[t]
        delta = d_h[t] + carried
        d_n = delta * (1 - z) * (1 - n**2)
        d_z = delta * (h[t] - n) * z * (1 - z)
        through = d_n @ U["n"].T
        d_r = through * h[t] * r * (1 - r)
        for g, d, operand in (("r", d_r, h[t]), ("z", d_z, h[t]), ("n", d_n, r * h[t])):
            G["W"][g] += x[t].T @ d
            G["b"][g] += d.sum(0)
            G["U"][g] += operand.T @ d
            G["c"][g] += d.sum(0)
            G["x"][t] += d @ W[g].T
        carried = delta * z + through * r + d_r @ U["r"].T + d_z @ U["z"].T
    return np.stack(h[1:]), G | {"h_0": carried}


def lstm(x, h0, c0, W, U, b, c, d_h, d_c, v=None):
    """Greff et al., "LSTM: a search space odyssey", arXiv:1503.04069 (2015), section II: their z is our g, y our h.

    Their deltas are those of the pre-activations. Peepholes p_i, p_f see the old cell, p_o the new; without `v` none.
    """
    p = v or dict.fromkeys("ifo", np.zeros(h0.shape[1]))
    h, cell, saved = [h0], [c0], []
    for x_t in x:
        pre = {g: x_t @ W[g] + b[g] + h[-1] @ U[g] + c[g] for g in "ifgo"}
        i = sigmoid(pre["i"] + p["i"] * cell[-1])
        f = sigmoid(pre["f"] + p["f"] * cell[-1])
        g = np.tanh(pre["g"])
        cell.append(f * cell[-1] + i * g)
        o = sigmoid(pre["o"] + p["o"] * cell[-1])
        h.append(o * np.tanh(cell[-1]))
        saved.append((i, f, g, o))
    G = zeros(W, U, b, c, x) | {"v": {name: np.zeros(h0.shape[1]) for name in "ifo"}}
    delta_y, delta_c = np.zeros_like(h0), d_c
    for t in reversed(range(len(x))):
        i, f, g, o = saved[t]
        delta_y = d_h[t] + delta_y
        delta_o = delta_y * np.tanh(cell[t + 1]) * o * (1 - o)
        delta_c = delta_c + delta_y * o * (1 - np.tanh(cell[t + 1]) ** 2) + p["o"] * delta_o
        delta_f = delta_c * cell[t] * f * (1 - f)
        delta_i = delta_c * g * i * (1 - i)
        delta_g = delta_c * i * (1 - g**2)
        delta_y_before = 0
        for name, delta in (("i", delta_i), ("f", delta_f), ("g", delta_g), ("o", delta_o)):
            G["W"][name] += x[t].T @ delta
            G["b"][name] += delta.sum(0)
            G["U"][name] += h[t].T @ delta
            G["c"][name] += delta.sum(0)
            G["x"][t] += delta @ W[name].T
            delta_y_before = delta_y_before + delta @ U[name].T
        G["v"]["i"] += (delta_i * cell[t]).sum(0)
        G["v"]["f"] += (delta_f * cell[t]).sum(0)
        G["v"]["o"] += (delta_o * cell[t + 1]).sum(0)
        delta_c = delta_c * f + p["i"] * delta_i + p["f"] * delta_f
        delta_y = delta_y_before
    return np.stack(h[1:]), G | {"h_0": delta_y, "c_0": delta_c}


def zeros(W, U, b, c, x):
    groups = zip("WUbc", (W, U, b, c))
    return {k: {g: np.zeros_like(m) for g, m in group.items()} for k, group in groups} | {"x": np.zeros_like(x)}


BY_HAND = {
    "rnn": rnn,
    "residual": residual,
    "residual-sigmoid": lambda *args: residual(*args, g=sigmoid, slope=lambda n: n * (1 - n)),
    "gru": gru,
    "reset-before-gru": reset_before_gru,
    "lstm": lstm,
    "peephole-lstm": lstm,
}


@pytest.mark.parametrize("sizes", [(1, 1, 1, 2), (6, 3, 4, 5), (17, 2, 1, 3)], ids=str)
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", BY_HAND)
def test_the_derived_bptt_is_the_textbook_s(name, seed, sizes):
    step = trace(CELLS[name])
    problem = random_problem(step, sizes=sizes, seed=seed)
    call, H = problem.call, sizes[-1]
    result = choose.dispatch(call, "reference")
    leaves = problem.leaves()
    got = dict(zip(leaves, torch.autograd.grad(problem.loss(result), list(leaves.values()))))
    packed = {k: leaves[n].detach().numpy() for k, n in zip("WUbc", ("W_ih", "W_hh", "b_ih", "b_hh"))}
    blocks = {k: dict(zip(step.gates, (m.T for m in np.split(array, len(step.gates))))) for k, array in packed.items()}
    d_h = problem.d_outputs.numpy().copy()
    d_h[-1] += problem.d_final[0].numpy()
    states = [s.detach().numpy() for s in call.states]
    args = [call.x.detach().numpy(), *states, *blocks.values(), d_h, *(d.numpy() for d in problem.d_final[1:])]
    if step.vectors:
        args.append(dict(zip(step.vectors, call.weights.vectors.detach().numpy().reshape(-1, H))))
    outputs, by_hand = BY_HAND[name](*args)
    assert close(result.outputs, outputs)
    assert close(got["x"], by_hand["x"])
    for s in step.state:
        assert close(got[f"{s}_0"], by_hand[f"{s}_0"])
    for k, n in zip("WUbc", ("W_ih", "W_hh", "b_ih", "b_hh")):
        for g, block in zip(step.gates, got[n].split(H)):
            assert close(block, by_hand[k][g].T), f"d{n} of gate {g}"
    if step.vectors:
        for n, block in zip(step.vectors, got["v"].split(H)):
            assert close(block, by_hand["v"][n]), f"dv of {n}"


def close(got, expected):
    error = np.linalg.norm(got.detach().numpy() - expected)
    return error <= 1e-12 * np.linalg.norm(expected)


def test_the_check_detects_an_error_in_the_textbook_s_equations():
    """The comparison above can fail: with the derivative of the candidate's tanh left out it does."""
    derived = np.ones(3) * 0.5
    slip = torch.from_numpy(derived * (1 + 1e-9))
    assert not close(slip, derived)
