"""What the engine runs, what it refuses, and why."""

from dataclasses import replace
from unittest import mock

import pytest
from tests.engines.cpu.calls import EVERY, make_call

from tidegate.engines import choose, cpu
from tidegate.errors import EngineError


@pytest.fixture
def asked_anew():
    """What this machine can run is asked once in a process; here before and after the test."""
    cpu.host_refuses.cache_clear()
    yield
    cpu.host_refuses.cache_clear()


@pytest.mark.usefixtures("asked_anew")
def test_unsupported_calls_are_refused_with_the_reason():
    call = make_call(EVERY["gru"], 3, 2, 2, 4)
    assert "bfloat16" in cpu.refuse(replace(call, weights=replace(call.weights, w_hh=call.weights.w_hh.bfloat16())))
    assert "empty" in cpu.refuse(replace(call, x=call.x[:0]))
    with mock.patch("tidegate.engines.cpu.target.host", return_value=None):
        assert "AVX2" in cpu.refuse(call)
        assert choose.dispatch(call).outputs.shape == (3, 2, 4)
        with pytest.raises(EngineError, match="AVX2"):
            choose.dispatch(call, "cpu")


def test_auto_chooses_this_engine():
    assert [v.engine for v in choose.why(make_call(EVERY["gru"], 3, 2, 2, 4)) if v.chosen] == ["cpu"]
