"""Switching off Python's cyclic garbage collector during work that makes many objects and no garbage."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """A context in which the collector does not run.

    A program being generated consists of a hundred thousand objects, all in use, and so do the modules that generate
    it. The collector would traverse them, and all objects of PyTorch, repeatedly, for longer than the work takes.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()
