"""Kernels that run one after the other in one call, with arguments that are written once."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import torch

from tidegate.engines.cpu import kernels, workspace
from tidegate.engines.cpu.abi import APART
from tidegate.engines.cpu.chain_abi import HEAD, NODE
from tidegate.engines.cpu.chain_calls import chain_library
from tidegate.engines.cpu.kernel_call import KernelCall
from tidegate.engines.cpu.pace import Pace

THREADS, FAILED = HEAD.index("threads"), HEAD.index("failed")


class Chain:
    """`run()` runs the kernels of some calls, one after the other; `arrays` are their arguments; a caller may change
    single ones before `run`. All of them use the same scratch memory and the same barriers."""

    def __init__(self, calls: Sequence[KernelCall], real: str):
        self.calls, self.kernel = calls, chain_library(kernels.here(), real)
        self.pace = Pace(max(call.pace.team for call in calls))
        counters = (self.pace.team + 2) * APART
        size = max(call.scratch for call in calls)
        self.memory = workspace.empty((8 * counters + size,), torch.uint8)
        barriers = self.memory.data_ptr()
        self.arrays = [call.filled(barriers + 8 * counters) for call in calls]
        head = {
            "count": len(calls), "parallel": parallel() if self.pace.team > 1 else 0,
            "barriers": barriers, "barrier_words": counters,
        }  # fmt: skip
        words = [head.get(name, 0) for name in HEAD]
        for call, array in zip(calls, self.arrays):
            node = {"function": call.kernel.address, "argument": ctypes.addressof(array), "team": call.pace.team}
            words += [node[name] for name in NODE]
        self.words = (ctypes.c_int64 * len(words))(*words)
        places = {"barriers": barriers, "failed": ctypes.addressof(self.words) + 8 * FAILED}
        for call, array in zip(calls, self.arrays):
            for i, name in enumerate(call.kernel.arguments):
                if name in places:
                    array[i] = places[name]

    def run(self) -> bool:
        """Run the kernels; False if a check has failed, and the kernels after it did not run."""
        words, pace = self.words, self.pace
        words[FAILED] = 0
        threads = words[THREADS] = pace.threads()
        started = perf_counter()
        self.kernel.alone(words)
        pace.took(threads, perf_counter() - started)
        return not words[FAILED]


def parallel() -> int:
    """The address of GOMP_parallel."""
    function: Any = kernels.parallel()
    return ctypes.cast(function, ctypes.c_void_p).value or 0
