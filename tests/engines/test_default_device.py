"""Programs that set a default device: tensors of the engines are on the device of the weights all the same."""

import copy

import pytest
import torch
from tests.engines.cpu.memory import poisoned
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence

import tidegate
from tidegate.engines.choose import NAMES

T, B, D, H = 5, 3, 4, 6
INPUTS = {
    "numbers": lambda: ((torch.randn(T, B, D),), {}),
    "class indices": lambda: ((torch.randint(D, (T, B)),), {}),
    "lengths": lambda: ((torch.randn(T, B, D),), {"lengths": [5, 2, 0]}),
    "resets": lambda: ((torch.randn(T, B, D),), {"resets": torch.rand(B, T) < 0.3}),
    "packed": lambda: ((pack_padded_sequence(torch.randn(T, B, D), [5, 4, 1]),), {}),
    "one step": lambda: ((torch.randn(1, B, D),), {}),
}


def results(layer: torch.nn.Module, arguments, options) -> list[Tensor]:
    """Outputs, states and the gradients of every parameter."""
    layer.zero_grad()
    found = [t for t in torch.utils._pytree.tree_leaves(layer(*arguments, **options)) if isinstance(t, Tensor)]
    floating = [t for t in found if t.is_floating_point()]
    sum(t.double().sum() for t in floating).backward()
    with torch.no_grad():
        more = [t for t in torch.utils._pytree.tree_leaves(layer(*arguments, **options)) if isinstance(t, Tensor)]
    return [*found, *more, *[p.grad.clone() for p in layer.parameters()]]


@pytest.mark.parametrize("engine", NAMES)
@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("make", [tidegate.GRU, tidegate.PeepholeLSTM])
def test_a_default_device_has_no_effect_on_a_layer(make, engine, kind):
    layer = make(D, H, engine=engine)
    arguments, options = INPUTS[kind]()
    try:
        expected = results(copy.deepcopy(layer), arguments, options)
    except tidegate.EngineError:
        pytest.skip(f'engine "{engine}" does not run this')
    with torch.device("meta"):
        found = results(layer, arguments, options)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_a_default_device_has_no_effect_on_a_cell_or_a_stream():
    cell, x = tidegate.LSTMCell(D, H), torch.randn(B, D)
    expected, stream = cell(x), tidegate.stream(tidegate.GRU(D, H), batch=B)
    with torch.device("meta"), poisoned():
        assert all(map(torch.equal, cell(x), expected))
        assert stream.step(x).device.type == "cpu"
        assert tidegate.stream(tidegate.GRU(D, H, device="cpu"), batch=B).step(x).device.type == "cpu"
