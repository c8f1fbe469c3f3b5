"""The garbage collector: off while the engine is imported or generates a program, and afterwards as it was before."""

import gc
import subprocess
import sys

import pytest

from tidegate.engines.cpu import runtime, target
from tidegate.engines.cpu.garbage import uncollected

PROGRAM = "define i64 @answer() {\n  ret i64 42\n}\n"

FIRST_USE = """
import gc, sys
import torch, tidegate
from tidegate.engines import cpu
collections = []
gc.callbacks.append(lambda phase, info: collections.append(phase) if phase == "start" else None)
assert cpu.host_refuses() is None
assert "tidegate.engines.cpu.kernels" in sys.modules
print(len(collections))
"""


def test_importing_the_engine_collects_garbage_once_at_the_end():
    done = subprocess.run([sys.executable, "-c", FIRST_USE], capture_output=True, text=True, timeout=120, check=True)
    assert int(done.stdout) <= 1


@pytest.mark.parametrize("running", [True, False])
def test_the_garbage_collector_keeps_its_setting(running):
    before = gc.isenabled()
    try:
        (gc.enable if running else gc.disable)()
        with uncollected():
            assert not gc.isenabled()
        assert gc.isenabled() == running
        with pytest.raises(ZeroDivisionError), uncollected():
            raise ZeroDivisionError
        assert gc.isenabled() == running
    finally:
        (gc.enable if before else gc.disable)()


def test_the_garbage_collector_is_off_while_a_program_is_generated(tmp_path, monkeypatch):
    monkeypatch.setenv("TIDEGATE_CACHE", str(tmp_path))

    def program() -> str:
        assert not gc.isenabled()
        return PROGRAM

    assert runtime.object_code("answer", program, target.host())
