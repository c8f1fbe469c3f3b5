"""The memory that the CPU engine keeps between calls: how much, at most, and how to give it back.

    tidegate.memory.usage()             # Usage(in_use=..., kept=..., limit=536870912), in bytes
    tidegate.memory.release()           # give what is kept back to the system
    tidegate.memory.set_limit(64 << 20) # from now on keep 64 MiB at most; 0 keeps nothing

A training step allocates and frees the same arrays each time, and fresh memory costs time: without the pool the steps
of one layer took 4 to 15 % longer. The default limit of 512 MiB is enough for all the layers of docs/speed.md.
"""

from dataclasses import dataclass

from tidegate.engines.cpu import workspace
from tidegate.errors import ArgumentError


@dataclass(frozen=True)
class Usage:
    """Bytes. `in_use` belongs to tensors and running calls; `kept` is free memory for later calls, at most `limit`.

    Tensors below 256 KiB are left to torch and are not counted.
    """

    in_use: int
    kept: int
    limit: int


def usage() -> Usage:
    pool = workspace.pool
    return Usage(pool.in_use(), pool.kept(), pool.limit)


def release() -> int:
    """Give all kept memory back to the system; the number of bytes. Memory in use is not touched."""
    kept = workspace.pool.kept()
    workspace.release()
    return kept


def set_limit(limit: int) -> None:
    """Keep at most `limit` bytes from now on; what is beyond them goes back at once. ArgumentError if it is negative or
    not an integer."""
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise ArgumentError(f"`limit` must be a number of bytes, 0 or more, got {limit!r}.")
    workspace.pool.limit = limit
    workspace.pool.trim()
