"""Calls of one step without a graph: all arguments but the addresses of the caller's tensors are filled in beforehand.

A step of a small layer takes a few microseconds, less than the general route (`launch.forward`) needs to collect the
arguments of any call.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Collection, Mapping, Sequence

from tidegate.engines.cpu import workspace
from tidegate.engines.cpu.abi import addressed
from tidegate.engines.cpu.launch_plan import Shape, forward_launch


class OneStep:
    """Runs forward calls of one shape: one step, neither lengths nor resets, no gates kept and nothing saved.

    absent: the names in `abi.addressed` whose argument is null. fixed: other arguments that all calls share, by name.
    """

    def __init__(self, shape: Shape, absent: Collection[str], fixed: Mapping[str, int]):
        self.shape, self.plan, self.fixed = shape, forward_launch(shape, save=False), fixed
        words = "".join("8x" if name in absent else "q" for name in addressed(shape.step))  # a skipped word becomes 0
        self.fill = struct.Struct("=" + words).pack_into
        self.kernel = self.plan.kernel.alone if self.plan.pace.team == 1 else self.plan.launch
        self.stride = self.plan.at[f"seq_t.{shape.step.state[0]}"]
        self.free: list[Memory] = []

    def run(self, addresses: Sequence[int], outputs: int = 0) -> None:
        """addresses: those of the call's tensors in the order of `abi.addressed`. With the address `outputs`, the first
        state also goes there.

        Threads may run it at once: each has memory of its own.
        """
        try:
            memory = self.free.pop()
        except IndexError:
            memory = Memory(self)
        self.fill(memory.array, 0, *addresses)
        if outputs:  # the state after the step is the second of its sequence
            memory.array[self.stride] = (outputs - memory.sequence) // self.shape.arithmetic.itemsize
        self.kernel(memory.array)
        if memory.counters is not None:
            ctypes.memset(*memory.counters)
        self.free.append(memory)


class Memory:
    """The arguments of a call and its scratch memory, which holds the sequences of the states: `sequence` is the
    address of the first state's. `counters`: what to fill with zeros after a call of several threads, for memset."""

    def __init__(self, form: OneStep):
        shape, plan = form.shape, form.plan
        (first, *others), row = shape.step.state, shape.B * shape.H
        own = workspace.Layout(shape.arithmetic.itemsize)
        own.add(f"seq.{first}", 2 * row)
        for s in others:
            if f"seq.{s}" not in plan.scratch.offset:  # updated in place
                own.add(f"seq.{s}", row)
        self.block = workspace.Memory(plan.scratch.size + plan.packed.size + own.size)
        scratch = self.block.address
        packed = scratch + plan.scratch.size
        sequences = packed + plan.packed.size
        self.array = plan.filled(form.fixed, (scratch, plan.scratch), (packed, plan.packed), (sequences, own))
        self.sequence = sequences
        barriers = self.array[plan.at["barriers"]]
        end = ctypes.addressof(self.array) + ctypes.sizeof(self.array)
        self.counters = (barriers, 0, end - barriers) if plan.pace.team > 1 else None
