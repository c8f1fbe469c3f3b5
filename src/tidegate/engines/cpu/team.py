"""The OpenMP team of PyTorch: kernels run in it, so that no second pool of threads competes for the cores."""

import ctypes
import os
import sys
from functools import cache as once
from pathlib import Path

import torch


def _alone_after_fork() -> None:
    """A forked child has none of its parent's threads, and GNU's OpenMP would wait for them for ever: torch must not
    ask for a team there, as in the workers of a DataLoader."""
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_alone_after_fork)


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
    paths = {line.split()[-1] for line in maps.read_text().splitlines() if "omp" in line.rpartition("/")[2]}
    return sorted((p for p in paths if ".so" in p), key=lambda p: ("torch" not in p, p))


def symbols() -> dict[str, int]:
    """Addresses of the functions by which a kernel learns its place in the team, and of sched_yield."""
    library = openmp()
    names = ("omp_get_thread_num", "omp_get_num_threads")
    found = {name: ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0 for name in names}
    found["sched_yield"] = ctypes.cast(ctypes.CDLL(None).sched_yield, ctypes.c_void_p).value or 0
    return found


def threads() -> int:
    """Threads a kernel may use: as many as torch does."""
    return torch.get_num_threads()
