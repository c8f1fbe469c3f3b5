"""Locks in a process that forks while other threads run, as when a DataLoader starts its workers."""

import os
from typing import Protocol, TypeVar


class Lock(Protocol):
    """threading.Lock or threading.RLock."""

    def acquire(self) -> bool: ...

    def release(self) -> None: ...


L = TypeVar("L", bound=Lock)


def held_while_forking(lock: L) -> L:
    """The same lock, which from now on is acquired before every fork and released after it, in parent and child.

    A child has only the thread that forked, so a lock that another thread of the parent held would never be released in
    the child, and the data it protects could be incomplete. The locks are acquired in the reverse order of these calls:
    if a thread acquires one lock while it holds another, the inner one must be registered first.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
    return lock
