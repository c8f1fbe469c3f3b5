"""Locks of a process that forks while its threads are at work, as where a DataLoader starts its workers."""

import os
from typing import Protocol, TypeVar


class Lock(Protocol):
    """threading.Lock or threading.RLock."""

    def acquire(self) -> bool: ...

    def release(self) -> None: ...


L = TypeVar("L", bound=Lock)


def held_while_forking(lock: L) -> L:
    """The lock, which from now on every fork takes before and gives back after, in the parent and in the child.

    A child has none of its parent's threads but the one that forked, so a lock that another held would stay taken there
    for ever, and what it guards half done. Locks are taken in the reverse order of these calls: where a thread takes
    one lock inside another, the inner one must come first.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
    return lock
