"""The threads of kernels: torch's OpenMP threads, one thread without OpenMP, and both after a fork."""

import ctypes
import os
import subprocess
import sys

import pytest
import torch

from tidegate.engines.cpu import runtime, team
from tidegate.engines.cpu.target import host

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

CALL = """
import torch, tidegate
torch.manual_seed(0)
layer, x = tidegate.GRU(64, 64, engine="cpu"), torch.randn(40, 32, 64, requires_grad=True)

def results():
    y, h = layer(x)
    gradients = torch.autograd.grad(y.sum(), [x, *layer.parameters()])
    return b"".join(t.detach().numpy().tobytes() for t in (y, h, *gradients))
"""

WITHOUT_OPENMP = f"""
import sys
from tidegate.engines.cpu import kernels, team
if sys.argv[1] == "without":
    team.openmp = lambda: None
{CALL}
torch.set_num_threads(2 if sys.argv[1] == "without" else 1)
import hashlib
print(team.threads(), hashlib.sha256(results()).hexdigest())
"""

FORKED = f"""
import faulthandler, os, threading
{CALL}
from tidegate.engines.cpu import team
torch.set_num_threads(3)
big = torch.randn(300, 300)
expected = results(), (big @ big).sum().item(), torch.tanh(big).sum().item()

def child():
    faulthandler.dump_traceback_later(30, exit=True)
    assert torch.get_num_threads() == team.threads() == 3
    assert (results(), (big @ big).sum().item(), torch.tanh(big).sum().item()) == expected
    torch.set_num_threads(2)
    assert team.threads() == 2
    assert results() == expected[0]

def fork():
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            child()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

codes = [fork()]
thread = threading.Thread(target=lambda: codes.append(results() == expected[0] and fork()))
thread.start()
thread.join()
codes.append(fork())
assert results() == expected[0]
print(codes)
"""


def run(program: str, *arguments: str) -> str:
    command = [sys.executable, "-W", "ignore", "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout.strip()


def test_without_openmp_kernels_run_on_one_thread_with_the_same_bits():
    assert run(WITHOUT_OPENMP, "with") == run(WITHOUT_OPENMP, "without")


def test_without_openmp_a_kernel_is_thread_0_of_1(monkeypatch):
    monkeypatch.setattr(team, "openmp", lambda: None)
    addresses = team.symbols()  # linked under other names, as LLVM has one table of names for the process
    assert team.threads() == 1
    program = """
    declare i32 @alone_omp_get_thread_num()
    declare i32 @alone_omp_get_num_threads()
    define i64 @place() {
      %number = call i32 @alone_omp_get_thread_num()
      %of = call i32 @alone_omp_get_num_threads()
      %ten = mul i32 %of, 10
      %both = add i32 %ten, %number
      %found = sext i32 %both to i64
      ret i64 %found
    }
    """
    target = host()
    assert target is not None
    module, machine = runtime.optimize(program, target)
    library = runtime.Library(machine.emit_object(module), target, {f"alone_{n}": a for n, a in addresses.items()})
    assert ctypes.CFUNCTYPE(ctypes.c_int64)(library["place"])() == 10


def test_there_is_no_openmp_on_windows(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert team.openmp.__wrapped__() is None


@needs_fork
def test_a_forked_child_has_the_thread_count_of_its_parent_and_can_change_it():
    assert run(FORKED) == "[0, 0, 0]"


@needs_fork
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_where_threads_cannot_be_ended_before_a_fork_the_child_starts_with_one(monkeypatch, threads):
    threads(2)
    monkeypatch.setattr(team, "is_gnu", lambda: True)
    monkeypatch.setattr(team, "pause", lambda: None)
    child = os.fork()
    if child == 0:
        first = torch.get_num_threads()
        torch.set_num_threads(2)
        os._exit(0 if (first, torch.get_num_threads()) == (1, 2) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert torch.get_num_threads() == 2


@needs_fork
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_an_openmp_that_supports_forks_is_not_changed(monkeypatch, threads):
    """As LLVM's and Intel's, which are known by __kmpc_fork_call."""
    threads(2)
    monkeypatch.setattr(team, "openmp", lambda: type("LLVM", (), {"__kmpc_fork_call": 0, "omp_pause_resource_all": 0}))
    team.pause.cache_clear()
    try:
        assert team.pause() is None
        child = os.fork()
        if child == 0:
            os._exit(torch.get_num_threads())
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    finally:
        team.pause.cache_clear()


def test_a_function_that_object_code_does_not_have_is_an_error():
    with pytest.raises(KeyError, match="no function 'nothing'"):
        team._one_thread()["nothing"]
