"""Switching off Python's cyclic garbage collector during work that makes many objects and no garbage."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Within the context the collector does not run.

    A program being generated consists of a hundred thousand objects, and so do the modules that generate it: all in
    use. The collector would search them, and all objects of PyTorch, again and again, for longer than the work takes.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()
