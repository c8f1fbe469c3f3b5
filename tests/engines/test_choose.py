"""Which engine runs a call, how `why` says it, and the warning of a Python loop on a GPU."""

import pickle
import warnings
from dataclasses import replace

import pytest
import torch
from tests.engines.cpu.calls import make_call
from tests.engines.test_torch import on_gpu
from torch._subclasses import FakeTensorMode

import tidegate
from tidegate import cells
from tidegate.engines import choose, cpu
from tidegate.engines.cpu import kernels
from tidegate.errors import EngineError, SlowEngineWarning


def chosen(verdicts) -> list[str]:
    return [v.engine for v in verdicts if v.chosen]


@pytest.fixture
def no_kernels(monkeypatch):
    """A processor that the CPU kernels do not support."""
    monkeypatch.setattr(cpu, "host_refuses", lambda: "it needs another processor")


def test_the_order_of_preference_is_cpu_torch_eager(no_kernels, monkeypatch):
    call = make_call(cells.GRU, 5, 2, 3, 4)
    assert chosen(choose.why(call)) == ["torch"]
    assert choose.select(call).NAME == "torch"
    assert chosen(choose.why(replace(call, keep_gates=True))) == ["eager"]
    assert choose.select(replace(call, keep_gates=True)).NAME == "eager"
    monkeypatch.setattr(cpu, "host_refuses", lambda: None)
    assert chosen(choose.why(call)) == ["cpu"]
    assert choose.select(call).NAME == "cpu"


def test_why_marks_the_named_engine():
    call = make_call(cells.GRU, 5, 2, 3, 4)
    for name in choose.ENGINES:
        assert chosen(choose.why(call, name)) == [name]
    layer = tidegate.GRU(3, 4, engine="eager")
    assert chosen(tidegate.why(layer, torch.randn(5, 2, 3))) == ["eager"]


def test_why_reports_that_a_named_engine_cannot_run_the_call():
    call = make_call(cells.ResetBeforeGRU, 5, 2, 3, 4)
    verdicts = choose.why(call, "torch")
    assert chosen(verdicts) == []
    with pytest.raises(EngineError) as error:
        choose.dispatch(call, "torch")
    assert verdicts.summary == str(error.value)
    assert verdicts.summary.endswith("Engines that can: cpu, eager, reference.")
    with pytest.raises(EngineError, match=r"must be one of auto, cpu, torch, eager, reference, got 'gpu'"):
        choose.why(call, "gpu")


def test_the_first_line_names_engine_and_device_and_whether_it_is_slow(no_kernels):
    gru, own = make_call(cells.GRU, 5, 2, 3, 4), make_call(cells.ResetBeforeGRU, 5, 2, 3, 4)
    assert choose.why(gru).summary == "torch, torch's fused functions, on cpu"
    slow = "eager, a Python loop over T = 5 steps on cpu: slow; cpu cannot: it needs another processor"
    assert choose.why(own).summary == slow
    assert repr(choose.why(own)).splitlines()[0] == slow
    assert choose.why(replace(own, x=own.x[:1])).summary == "eager, a Python loop over T = 1 steps on cpu"
    assert choose.why(gru, "reference").summary.startswith("reference, NumPy in float64")


def test_why_reports_a_faster_engine_than_the_named_one():
    assert choose.why(make_call(cells.GRU, 5, 2, 3, 4), "eager").summary.endswith("on cpu: slow; cpu is faster")
    assert choose.why(make_call(cells.GRU, 5, 2, 3, 4)).summary == "cpu, compiled kernels, on cpu"


def test_on_a_gpu_torch_runs_its_cells_and_others_are_reported_as_slow():
    with FakeTensorMode():
        assert choose.why(on_gpu(make_call(cells.GRU, 5, 2, 3, 4))).summary.startswith("torch, torch's fused functions")
        own = choose.why(on_gpu(make_call(cells.ResetBeforeGRU, 5, 2, 3, 4)))
    assert chosen(own) == ["eager"]
    assert "a Python loop over T = 5 steps on cuda:0: slow; torch cannot: torch has no fused function" in own.summary


def test_a_python_loop_on_a_gpu_gives_one_warning():
    with FakeTensorMode(), warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("default")
        for T in (5, 6, 7):
            choose.select(on_gpu(make_call(cells.ResetBeforeGRU, T, 2, 3, 4)))
        choose.select(on_gpu(make_call(cells.ResetBeforeGRU, 5, 2, 3, 4)), "eager")
        choose.select(on_gpu(make_call(cells.ResetBeforeGRU, 1, 2, 3, 4)))
    assert [w.category for w in seen] == [SlowEngineWarning]
    assert "ResetBeforeGRU runs in the eager engine on cuda" in str(seen[0].message)
    assert "no fused function of these equations" in str(seen[0].message)


def test_a_loop_on_a_cpu_or_without_values_gives_no_warning(no_kernels):
    for device in ("cpu", "meta"):
        call = make_call(cells.ResetBeforeGRU, 5, 2, 3, 4)
        names = ("w_ih", "w_hh", "b_ih", "b_hh")
        w = replace(call.weights, **{n: getattr(call.weights, n).to(device) for n in names})
        choose.dispatch(replace(call, x=call.x.to(device), states=tuple(s.to(device) for s in call.states), weights=w))


def test_verdicts_can_be_pickled():
    verdicts = choose.why(make_call(cells.GRU, 5, 2, 3, 4))
    again = pickle.loads(pickle.dumps(verdicts))
    assert again == verdicts
    assert repr(again) == repr(verdicts)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("pairs", [False, True])
def test_half_and_bfloat16_run_in_the_kernels_where_these_multiply_them_or_torch_has_no_function(
    dtype, pairs, monkeypatch
):
    processor = replace(kernels.here(), pairs=kernels.here().pairs and pairs)
    monkeypatch.setattr(kernels, "here", lambda: processor)
    first = "cpu" if dtype is torch.bfloat16 and processor.pairs else "torch"
    x = torch.randn(3, 2, 4, dtype=dtype)
    for layer, expected in (
        (tidegate.GRU(4, 5, dtype=dtype), first),
        (tidegate.LSTM(4, 5, dtype=dtype), first),
        (tidegate.ResetBeforeGRU(4, 5, dtype=dtype), "cpu"),
        (tidegate.GRU(4, 5), "cpu"),
    ):
        like = x.to(layer.weight_ih_l0.dtype)
        assert [v.engine for v in tidegate.why(layer, like) if v.chosen] == [expected]
        assert layer(like)[0].dtype is like.dtype
