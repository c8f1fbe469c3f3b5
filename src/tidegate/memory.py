"""The memory that the CPU engine keeps between calls: its size, its limit, and how to release it.

    tidegate.memory.usage()             # Usage(in_use=..., kept=..., limit=536870912), in bytes
    tidegate.memory.release()           # return the kept memory to the system
    tidegate.memory.set_limit(64 << 20) # from now on keep 64 MiB at most; 0 keeps nothing

A training step allocates and frees the same arrays each time, and new memory is slower: without the pool the steps
of one layer took 4 to 15 % longer. The default limit of 512 MiB is enough for all the layers of docs/speed.md.
"""

from dataclasses import dataclass

from tidegate.engines.cpu import workspace
from tidegate.errors import ArgumentError


@dataclass(frozen=True)
class Usage:
    """Bytes. `in_use` belongs to tensors and running calls; `kept` is free memory for later calls, at most `limit`.

    Tensors below 256 KiB are allocated by torch and are not counted.
    """

    in_use: int
    kept: int
    limit: int


def usage() -> Usage:
    pool = workspace.pool
    return Usage(pool.in_use(), pool.kept(), pool.limit)


def release() -> int:
    """Return all kept memory to the system; returns the number of bytes. Memory in use is unchanged."""
    kept = workspace.pool.kept()
    workspace.release()
    return kept


def set_limit(limit: int) -> None:
    """Keep at most `limit` bytes from now on; memory above the limit is released at once. ArgumentError if it is
    negative or not an integer."""
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise ArgumentError(f"`limit` must be a number of bytes, 0 or more, got {limit!r}.")
    workspace.pool.limit = limit
    workspace.pool.trim()
