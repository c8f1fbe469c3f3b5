"""Calls of one step: all arguments but the addresses of the caller's tensors are filled in beforehand.

A step of a small layer takes a few microseconds, less than the general route (`launch.forward`, `launch.backward`)
needs to collect the arguments of any call.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Collection, Mapping, Sequence

from tidegate.engines.cpu import workspace
from tidegate.engines.cpu.abi import addressed
from tidegate.engines.cpu.launch_plan import LaunchPlan, Shape, backward_launch, forward_launch


class Filled:
    """Repeated calls of one launch plan: most arguments are filled in once, the others in each call. Concurrent calls
    use separate memory.

    fixed: arguments besides those of the plan's template, by name. own: arrays in memory of the calls' own.
    """

    def __init__(self, plan: LaunchPlan, fixed: Mapping[str, int], own: workspace.Layout):
        self.plan, self.fixed, self.own = plan, fixed, own
        self.kernel = plan.kernel.alone if plan.pace.team == 1 else plan.launch
        self.free: list[Memory] = []

    def take(self) -> Memory:
        """Arguments that no other call uses."""
        try:
            return self.free.pop()
        except IndexError:
            return Memory(self)

    def start(self, memory: Memory) -> None:
        """Run the kernel, and give the memory back."""
        self.kernel(memory.array)
        if memory.counters is not None:
            ctypes.memset(*memory.counters)
        self.free.append(memory)


class Memory:
    """The arguments of a call and its scratch memory; `own` is the address of the arrays of the call's own. `counters`:
    what to fill with zeros after a call of several threads, for memset."""

    def __init__(self, calls: Filled):
        plan = calls.plan
        self.block = workspace.Memory(plan.scratch.size + plan.packed.size + calls.own.size)
        scratch = self.block.address
        packed = scratch + plan.scratch.size
        self.own = packed + plan.packed.size
        self.array = plan.filled(calls.fixed, (scratch, plan.scratch), (packed, plan.packed), (self.own, calls.own))
        barriers = self.array[plan.at["barriers"]]
        end = ctypes.addressof(self.array) + ctypes.sizeof(self.array)
        self.counters = (barriers, 0, end - barriers) if plan.pace.team > 1 else None


class OneStep(Filled):
    """Forward calls of one shape: one step, neither lengths nor resets, no gates kept.

    absent: the names in `abi.addressed` whose argument is null.
    """

    def __init__(self, shape: Shape, absent: Collection[str], fixed: Mapping[str, int], *, save: bool = False):
        plan, (first, *others), row = forward_launch(shape, save=save), shape.step.state, shape.B * shape.H
        own = workspace.Layout(shape.arithmetic.itemsize)
        if not save:
            own.add(f"seq.{first}", 2 * row)
            for s in others:
                if f"seq.{s}" not in plan.scratch.offset:  # updated in place
                    own.add(f"seq.{s}", row)
        super().__init__(plan, fixed, own)
        self.item, self.stride = shape.arithmetic.itemsize, plan.at[f"seq_t.{first}"]
        words = "".join("8x" if name in absent else "q" for name in addressed(shape.step))  # a skipped word becomes 0
        self.fill = struct.Struct("=" + words).pack_into
        #: What is kept for the backward pass, by the number of the argument, and its bytes.
        self.saved = [(plan.at[name], offset) for name, offset in plan.kept.offset.items()]
        self.saved += [(plan.at[f"seq.{first}"], plan.kept.size)]
        self.bytes_saved = plan.kept.size + 2 * row * self.item

    def run(self, addresses: Sequence[int], outputs: int = 0) -> None:
        """addresses: those of the call's tensors in the order of `abi.addressed`. With the address `outputs`, the first
        state also goes there."""
        memory = self.take()
        self.fill(memory.array, 0, *addresses)
        if outputs:  # the state after the step is the second of its sequence
            memory.array[self.stride] = (outputs - memory.own) // self.item
        self.start(memory)

    def run_and_save(self, addresses: Sequence[int], kept: int) -> None:
        """As `run`; with `bytes_saved` bytes at the address `kept` for the backward pass."""
        memory = self.take()
        self.fill(memory.array, 0, *addresses)
        for i, offset in self.saved:
            memory.array[i] = kept + offset
        self.start(memory)


class OneStepBack(Filled):
    """Backward calls of one shape, of one step that `OneStep.run_and_save` has run."""

    NAMES = (
        "x", "w_ih", "w_hh", "v", "d_x", "d_w_ih", "d_w_hh", "d_b_ih", "d_b_hh", "d_v",
        "d_outputs", "d_outputs_t", "d_outputs_b",
    )  # fmt: skip

    def __init__(self, shape: Shape, forward: OneStep, fixed: Mapping[str, int], *, need_x: bool, need_w_ih: bool):
        plan = backward_launch(shape, need_x=need_x, need_w_ih=need_w_ih)
        super().__init__(plan, fixed, workspace.Layout(shape.arithmetic.itemsize))
        states = [f"{name}.{s}" for s in shape.step.state for name in ("d_start", "d_final", "d_final_b")]
        self.slots = [plan.at[name] for name in (*self.NAMES, *states)]
        names = [*forward.plan.kept.offset, f"seq.{shape.step.state[0]}"]
        self.saved = [(plan.at[name], offset) for name, (_, offset) in zip(names, forward.saved)]
        sums = (("sum_w_ih", "d_w_ih"), ("sum_w_hh", "d_w_hh"))
        self.sums = [(plan.at[at], self.NAMES.index(d)) for at, d in sums if at not in plan.scratch.offset]

    def run(self, words: Sequence[int], kept: int) -> None:
        """words: the arguments NAMES, then for each state the address of its gradient before the step, and address and
        row stride of that after the step. kept: what the forward call has kept."""
        memory = self.take()
        array = memory.array
        for i, word in zip(self.slots, words):
            array[i] = word
        for i, offset in self.saved:
            array[i] = kept + offset
        for i, k in self.sums:
            array[i] = words[k]
        self.start(memory)
