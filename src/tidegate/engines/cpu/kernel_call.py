"""One call of a kernel, with all of its arguments but the address of its scratch memory."""

import ctypes
from collections.abc import Callable
from time import perf_counter
from typing import Any, NamedTuple

from tidegate.engines.cpu import workspace
from tidegate.engines.cpu.kernels import Kernel
from tidegate.engines.cpu.pace import Pace


class KernelCall(NamedTuple):
    """`filled(address)` returns the arguments for `scratch` bytes at this address, with barriers that start at 0;
    `alive` are the objects whose memory they point to."""

    kernel: Kernel
    pace: Pace
    scratch: int
    filled: Callable[[int], ctypes.Array]
    alive: Any = None

    def run(self) -> None:
        """Run the kernel with scratch memory of the pool."""
        if not self.scratch:
            self.start(0)
            return
        scratch = workspace.take(self.scratch)
        try:
            self.start(scratch.address)
        finally:
            workspace.give_back(scratch)

    def start(self, scratch: int) -> None:
        """Run the kernel with scratch memory at this address, on as many threads as are fastest at present."""
        array = self.filled(scratch)
        threads, started = self.pace.threads(), perf_counter()
        self.kernel(array, threads)
        self.pace.took(threads, perf_counter() - started)
