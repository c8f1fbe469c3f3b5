"""What jobs that run as threads of one process share: torch's number of threads, its global generator, and the modules
of users' files."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from tidegate.forks import held_while_forking


class OneThread:
    """A context in which torch uses one thread; the number before is set again when the last of several jobs leaves."""

    def __init__(self) -> None:
        self.lock = held_while_forking(threading.Lock())
        self.inside = 0
        self.before = 1

    def __enter__(self) -> None:
        with self.lock:
            if self.inside == 0:
                self.before = torch.get_num_threads()
                torch.set_num_threads(1)
            self.inside += 1

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                torch.set_num_threads(self.before)


ONE_THREAD = OneThread()
#: Held while a task is made: a user's file that one job is importing must not be used by another before it is complete.
MAKING = held_while_forking(threading.Lock())
DRAWING = held_while_forking(threading.Lock())


@contextmanager
def drawing(seed: int) -> Iterator[None]:
    """A context in which torch's global generator begins at `seed` and no other job uses it; it is then as before."""
    with DRAWING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
