"""Python's collector of cyclic garbage, kept away from work that makes many objects and no garbage."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep the collector from running.

    A program that is being written is a hundred thousand objects, and so are the modules that write it: all in use. The
    collector would look for garbage among them, and among all of PyTorch's, again and again, for longer than the work
    takes.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()
