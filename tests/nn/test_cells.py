"""One step as a module: torch.nn's cells number for number, and every other cell against its own layer."""

import pytest
import torch
from torch import nn

import tidegate
from tidegate.cells import CELLS
from tidegate.engines.choose import ENGINES
from tidegate.nn import build_layer

each_engine = pytest.mark.parametrize("engine", ["auto", *ENGINES])
TWINS = [
    (tidegate.RNNCell, nn.RNNCell, {}),
    (tidegate.RNNCell, nn.RNNCell, {"nonlinearity": "relu"}),
    (tidegate.GRUCell, nn.GRUCell, {}),
    (tidegate.LSTMCell, nn.LSTMCell, {}),
]


def tensors(tree):
    return torch.utils._pytree.tree_leaves(tree)


@each_engine
@pytest.mark.parametrize(("ours", "torchs", "options"), TWINS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("batch", [(), (4,)])
def test_twins_give_the_results_of_torch_from_the_same_seed(ours, torchs, options, bias, given, batch, engine):
    torch.manual_seed(0)
    a = ours(3, 5, bias=bias, dtype=torch.float64, engine=engine, **options)
    torch.manual_seed(0)
    b = torchs(3, 5, bias=bias, dtype=torch.float64, **options)
    assert isinstance(a, torchs)
    assert list(a.state_dict()) == list(b.state_dict())
    x = torch.randn(*batch, 3, dtype=torch.float64, requires_grad=True)
    h = torch.randn(*batch, 5, dtype=torch.float64, requires_grad=True)
    results = []
    for cell in (a, b):
        hx = None if not given else ((h, 2 * h) if torchs is nn.LSTMCell else h)
        new = tensors(cell(x, hx))
        wanted = [x, *([h] if given else []), *cell.parameters()]
        results.append([*new, *torch.autograd.grad(sum(s.square().sum() for s in new), wanted)])
    for s, t in zip(*results, strict=True):
        assert s.shape == t.shape
        assert (s - t).abs().max() < 1e-13


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_applied_step_by_step_equals_the_layer(name):
    layer = build_layer(name, 3, 5).double()
    cell = tidegate.RecurrentCell(CELLS[name], 3, 5, dtype=torch.float64)
    cell.load_state_dict({key.removesuffix("_l0"): value for key, value in layer.state_dict().items()})
    x, state = torch.randn(6, 2, 3, dtype=torch.float64), None
    y, final = layer(x)
    for t in range(6):
        state = cell(x[t], state)
        assert (tensors(state)[0] - y[t]).abs().max() < 1e-13
    for s, t in zip(tensors(state), tensors(final), strict=True):
        assert (s - t[0]).abs().max() < 1e-13


def test_class_indices_give_the_same_results_as_one_hot_rows():
    cell, ids = tidegate.GRUCell(3, 5), torch.tensor([2, 0])
    assert torch.allclose(cell(ids), cell(torch.eye(3)[ids]))
    assert torch.allclose(cell(ids[0]), cell(torch.eye(3)[2]))


def test_the_repr_of_a_cell_has_its_sizes_and_engine():
    assert repr(tidegate.LSTMCell(3, 5)) == "LSTMCell(3, 5, engine='auto')"
    assert repr(tidegate.RecurrentCell(CELLS["gru"], 3, 5)) == "RecurrentCell(GRU, 3, 5, engine='auto')"
