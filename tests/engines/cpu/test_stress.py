"""A short stress test, and errors that it must find; `python -m tests.engines.cpu.stress` is a long one."""

import os

import pytest
import torch
from tests.engines.cpu import stress
from tests.engines.cpu.test_matrix import needs_unit

from tidegate.engines.cpu import functions, kernels, launch, launch_plan

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
    pytest.mark.usefixtures("threads"),
]


@pytest.fixture
def forgotten():
    """No kernels or frames of before, and none that stay."""

    def forget() -> None:
        for made in (
            kernels.forward_kernel,
            kernels.backward_kernel,
            launch_plan.forward_launch,
            launch_plan.backward_launch,
        ):
            made.cache_clear()

    forget()
    yield
    forget()


def test_random_calls_in_threads_and_forked_children_are_right():
    findings = stress.run(seed=0, rounds=range(8))
    assert not findings.wrong, findings
    assert findings.calls["in a forked child"]


def test_the_stress_test_detects_a_wrong_function(monkeypatch, tmp_path, forgotten):
    monkeypatch.setenv("TIDEGATE_CACHE", str(tmp_path))
    right = functions.table
    monkeypatch.setattr(functions, "table", lambda code: {**right(code), "tanh": functions.sigmoid})
    assert any("from the reference" in wrong for wrong in stress.run(seed=1, rounds=range(1)).wrong)


@needs_unit
def test_the_stress_test_detects_bits_that_depend_on_the_batch(monkeypatch, forgotten):
    monkeypatch.setattr(launch_plan, "matrix_inputs", lambda shape: launch_plan.on_matrix_unit(shape) and shape.B > 8)
    assert any("of the sequences has other bits" in wrong for wrong in stress.run(seed=2, rounds=range(3)).wrong)


def test_the_stress_test_detects_unwritten_memory(monkeypatch):
    forward = launch.forward

    def forgetful(*arguments, **options):
        made = forward(*arguments, **options)
        return made._replace(outputs=torch.empty_like(made.outputs)) if options["save"] else made

    monkeypatch.setattr(launch, "forward", forgetful)
    assert any("nan from the reference" in wrong for wrong in stress.run(seed=0, rounds=range(1)).wrong)
