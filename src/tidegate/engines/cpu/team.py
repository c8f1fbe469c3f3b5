"""PyTorch's own OpenMP threads: kernels run in them, so that no second pool of threads competes for the cores.

Where the process has no OpenMP library that offers GOMP_parallel (on Windows, or in a build of PyTorch without OpenMP),
kernels run on one thread.
"""

import ctypes
import os
import sys
from collections.abc import Callable
from functools import cache as once
from pathlib import Path

import torch

from tidegate.engines.cpu import runtime
from tidegate.engines.cpu.target import host

NEEDED = ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads")
#: omp_pause_soft of OpenMP 5.0: threads may be released, settings stay.
PAUSE_SOFT = 1

#: What a kernel calls besides the functions all kernels share, for a process without OpenMP: it is thread 0 of 1, and
#: it waits for no other thread.
ONE_THREAD = """
define i32 @omp_get_thread_num() {
  ret i32 0
}
define i32 @omp_get_num_threads() {
  ret i32 1
}
define i32 @sched_yield() {
  ret i32 0
}
"""


@once
def openmp() -> ctypes.CDLL | None:
    """The OpenMP library that PyTorch uses, or None: it must offer GOMP_parallel (GNU's, LLVM's and Intel's do, except
    on Windows)."""
    if sys.platform == "win32":
        return None
    for path in (*_loaded(), *sorted(str(p) for p in (Path(torch.__file__).parent / "lib").glob("*omp*")), None):
        try:
            library = ctypes.CDLL(path)
        except OSError:
            continue
        if all(hasattr(library, name) for name in NEEDED):
            return library
    return None


def _loaded() -> list[str]:
    """Shared libraries of this process with OpenMP in their name, on Linux; those that come with PyTorch first."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return []
    paths = {line.split()[-1] for line in maps.read_text().splitlines() if "omp" in line.rpartition("/")[2]}
    return sorted((p for p in paths if ".so" in p), key=lambda p: ("torch" not in p, p))


def symbols() -> dict[str, int]:
    """Addresses of the functions by which a kernel gets its thread number and the number of threads, and of
    sched_yield."""
    library = openmp()
    if library is None:
        return {name: _one_thread()[name] for name in ("omp_get_thread_num", "omp_get_num_threads", "sched_yield")}
    functions = (library.omp_get_thread_num, library.omp_get_num_threads, ctypes.CDLL(None).sched_yield)
    return {function.__name__: ctypes.cast(function, ctypes.c_void_p).value or 0 for function in functions}


@once
def _one_thread() -> runtime.Library:
    target = host()
    assert target is not None
    module, machine = runtime.optimize(ONE_THREAD, target)
    return runtime.Library(machine.emit_object(module), target, {})


def threads() -> int:
    """Threads a kernel may use: as many as torch does, or one without OpenMP."""
    return 1 if openmp() is None else torch.get_num_threads()


# -- forks ------------------------------------------------------------------------------------------------------------
# GNU's OpenMP keeps its threads from one parallel region to the next. A forked child has none of them, and its first
# region, of a kernel or of torch itself, would wait for them forever. So the thread that forks ends its threads
# first, and parent and child start new ones when they need them. Threads of other callers do not matter: neither they
# nor their callers exist in the child. LLVM's and Intel's OpenMP restart in a child by themselves.


@once
def pause() -> Callable[[int], int] | None:
    """omp_pause_resource_all of GNU's OpenMP, which ends the OpenMP threads of the calling thread; None where it does
    not exist (before GCC 9) or another OpenMP is in use."""
    library = openmp()
    return getattr(library, "omp_pause_resource_all", None) if is_gnu() else None


def is_gnu() -> bool:
    library = openmp()
    return library is not None and not hasattr(library, "__kmpc_fork_call")


def before_fork() -> None:
    if (end_threads := pause()) is not None:
        end_threads(PAUSE_SOFT)


def after_fork_in_child() -> None:
    """Where threads cannot be ended before a fork, torch uses one in the child until its number is set."""
    if is_gnu() and pause() is None:
        torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=before_fork, after_in_child=after_fork_in_child)
