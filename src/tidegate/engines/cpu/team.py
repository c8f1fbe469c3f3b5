"""The OpenMP team of PyTorch: kernels run in it, so that no second pool of threads competes for the cores."""

import ctypes
import os
import sys
from functools import cache as once
from pathlib import Path

import torch

_forked = False


def _note_fork() -> None:
    global _forked
    _forked = True


os.register_at_fork(after_in_child=_note_fork)


@once
def openmp() -> ctypes.CDLL | None:
    """The OpenMP library that PyTorch uses, or None: it must offer GOMP_parallel (GNU's, LLVM's and Intel's do)."""
    for path in (*_loaded(), *sorted(str(p) for p in (Path(torch.__file__).parent / "lib").glob("*omp*")), None):
        if path is None and sys.platform == "win32":
            continue
        try:
            library = ctypes.CDLL(path)
        except OSError:
            continue
        if all(hasattr(library, name) for name in ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads")):
            return library
    return None


def _loaded() -> list[str]:
    """Shared libraries of this process with OpenMP in their name, on Linux; those that come with PyTorch first."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return []
    paths = {line.split()[-1] for line in maps.read_text().splitlines() if "omp" in Path(line.split()[-1]).name}
    return sorted((p for p in paths if ".so" in p), key=lambda p: ("torch" not in p, p))


def symbols() -> dict[str, int]:
    """Addresses of the functions by which a kernel learns its place in the team, and of sched_yield."""
    library = openmp()
    names = ("omp_get_thread_num", "omp_get_num_threads")
    found = {name: ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0 for name in names}
    found["sched_yield"] = ctypes.cast(ctypes.CDLL(None).sched_yield, ctypes.c_void_p).value or 0
    return found


def threads() -> int:
    """Threads a kernel may use: torch.get_num_threads(), or one in a forked child, where the team no longer exists."""
    return 1 if _forked else torch.get_num_threads()
