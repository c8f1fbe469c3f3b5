"""Weights packed once give the bits of weights packed in the call."""

import pytest
import torch
from tests.engines.cpu.calls import EVERY, in_double, make_call, same_bits

from tidegate.engines.cpu import launch
from tidegate.errors import EngineError

pytestmark = pytest.mark.usefixtures("poisoned")


@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize("name", EVERY)
def test_prepared_weights_give_the_same_bits(name, indexed):
    for T, B, D, H in ((1, 1, 3, 5), (4, 3, 20, 33), (2, 40, 7, 64), (2, 1, 40, 7)):
        call = make_call(EVERY[name], T, B, D, H, indexed=indexed)
        prepared = launch.prepare(call.step, call.weights, indexed=indexed)
        with torch.no_grad():
            expected, found = launch.forward(call, save=False), launch.forward(call, save=False, prepared=prepared)
        assert same_bits(found.outputs, expected.outputs)
        assert all(same_bits(a, b) for a, b in zip(found.finals, expected.finals))


def test_prepared_weights_are_a_copy():
    call = make_call(EVERY["gru"], 3, 2, 4, 5)
    prepared = launch.prepare(call.step, call.weights)
    with torch.no_grad():
        expected = launch.forward(call, save=False).outputs.clone()
        for w in call.weights.tensors():
            if w is not None:
                w.fill_(torch.nan)
        assert same_bits(launch.forward(call, save=False, prepared=prepared).outputs, expected)


def test_prepared_weights_of_another_kind_are_refused():
    call, other = make_call(EVERY["gru"], 3, 2, 4, 5), make_call(EVERY["reset-before-gru"], 3, 2, 4, 5)
    prepared = launch.prepare(other.step, other.weights)
    with pytest.raises(EngineError, match=r"ResetBeforeGRU in .* and the call needs GRU .* prepare the weights again"):
        launch.forward(call, save=False, prepared=prepared)
    double = launch.prepare(call.step, in_double(call).weights)
    with pytest.raises(EngineError, match="float64"):
        launch.forward(call, save=False, prepared=double)
