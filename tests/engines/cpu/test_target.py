"""The processor that kernels are compiled for."""

import sys

import llvmlite.binding as llvm
import pytest

from tidegate.engines.cpu import runtime, target

PROGRAM = "define double @twice(double %x) {\n  %y = fmul double %x, 2.5\n  ret double %y\n}\n"


def test_on_windows_object_code_has_the_format_that_can_be_linked_there(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(llvm, "get_process_triple", lambda: "x86_64-pc-windows-msvc")
    monkeypatch.setattr(target.platform, "machine", lambda: "AMD64")
    found = target.host.__wrapped__()
    if found is None:
        pytest.skip("this processor has no vector unit that the kernels support")
    where = target.Target(found.triple, target.AVX2.cpu, target.AVX2.features, 32, 16)
    module, machine = runtime.optimize(PROGRAM, where)
    assert machine.emit_object(module).startswith(b"\x7fELF")
    assert not found.matrix
