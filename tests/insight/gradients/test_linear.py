"""Products with the joint step Jacobian, against torch's autograd through one step of the eager engine: 1e-12."""

import numpy as np
import pytest
import torch
from tests.insight.small import EVERY_CELL, make_layer

from tidegate.insight.gradients.linear import linearise
from tidegate.insight.recording import record
from tidegate.insight.subject import as_subject


def states_of(layer, hx):
    return torch.cat([s.flatten(1) if s.dim() == 2 else s for s in hx], -1)


def joint_jacobian(layer, x, t, b):
    """d states after step t / d states before it, of sequence b, by autograd; layers outermost, then states."""
    layer.engine = "eager"
    names = layer.cell.state
    _, before = layer(x[:t, b : b + 1]) if t else (None, None)
    L, P, H = layer.num_layers, layer.proj_size or layer.hidden_size, layer.hidden_size
    if before is None:
        before = tuple(torch.zeros(L, 1, P if i == 0 else H, dtype=torch.float64) for i in range(len(names)))
    before = before if isinstance(before, tuple) else (before,)
    flat = torch.cat([torch.cat([s[k, 0] for s in before]) for k in range(L)])
    sizes = [s.shape[-1] for s in before]

    def step(joint):
        parts = joint.split(sizes * L)
        hx = tuple(torch.stack([parts[k * len(sizes) + i] for k in range(L)])[:, None] for i in range(len(sizes)))
        _, after = layer(x[t : t + 1, b : b + 1], hx if len(hx) > 1 else hx[0])
        after = after if isinstance(after, tuple) else (after,)
        return torch.cat([torch.cat([s[k, 0] for s in after]) for k in range(L)])

    return torch.autograd.functional.jacobian(step, flat).numpy()


@pytest.mark.parametrize("layers", [1, 2])
def test_products_with_the_jacobian_are_autograds(cell, layers):
    layer = make_layer(cell, layers=layers, seed=1, scale=2.0)
    x = torch.randn(6, 2, 3, dtype=torch.float64)
    system = linearise(record(as_subject(layer), x))
    J = joint_jacobian(layer, x, 4, 1)
    np.testing.assert_allclose(system.dense(4, 1), J, atol=1e-12)
    V = np.random.default_rng(0).standard_normal((2, system.size, 3))
    np.testing.assert_allclose(system.multiply(4, V)[1], J @ V[1], atol=1e-12)


def test_a_projected_lstm_of_two_layers_has_the_jacobian_of_its_projected_states():
    layer = make_layer("lstm", H=5, layers=2, proj_size=2)
    x = torch.randn(4, 2, 3, dtype=torch.float64)
    system = linearise(record(as_subject(layer), x))
    assert system.sizes() == {"h_l0": 2, "c_l0": 5, "h_l1": 2, "c_l1": 5}
    J = joint_jacobian(layer, x, 3, 0)
    np.testing.assert_allclose(system.dense(3, 0), J, atol=1e-12)
    V = np.random.default_rng(0).standard_normal((2, system.size, 3))
    np.testing.assert_allclose(system.multiply(3, V)[0], J @ V[0], atol=1e-12)


def test_class_indices_have_the_jacobian_of_one_hot_rows():
    layer = make_layer("gru", D=4)
    x = torch.randint(4, (5, 2))
    rows = torch.nn.functional.one_hot(x, 4).double()
    of_indices, of_rows = (linearise(record(as_subject(layer), data)).dense(3, 1) for data in (x, rows))
    np.testing.assert_allclose(of_indices, of_rows, atol=1e-14)


@pytest.mark.parametrize("name", EVERY_CELL)
def test_recorded_leaves_reproduce_the_states_and_gates_in_both_directions(name):
    layer = make_layer(name, layers=2, bidirectional=True)
    x = torch.randn(5, 3, 3, dtype=torch.float64)
    hx = tuple(torch.randn(4, 3, 5, dtype=torch.float64) for _ in layer.cell.state)
    hx = hx if len(hx) > 1 else hx[0]
    found = record(as_subject(layer, one_direction=False), x, hx)
    assert [r.suffix for r in found] == ["l0", "l0_reverse", "l1", "l1_reverse"]
    for own in found:
        for s, values in zip(own.step.state, own.evaluate(list(own.step.new.values()))):
            np.testing.assert_allclose(values, own.states[s], atol=1e-12)
        for g, values in zip(own.step.gates, own.evaluate(list(own.step.gate.values()))):
            np.testing.assert_allclose(values, own.gates[g], atol=1e-12)
