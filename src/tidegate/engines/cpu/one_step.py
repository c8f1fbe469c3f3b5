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

    fixed: arguments besides those of the plan's template, by name. own: arrays that each call has for itself.
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
    """The arguments of a call and its scratch memory; `own` is the address of the arrays that the call has for itself.
    `counters`: the arguments of the memset that sets the barriers to zero after a call of several threads."""

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
        self.shape = shape
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
    """Backward calls of one shape, of one step that `OneStep.run_and_save` has run.

    roles: the argument for each tensor of a call, as "x", "start.h" or "w_ih". needed: which of them get a gradient.
    """

    #: The tensors that the kernel reads again.
    READ = ("x", "w_ih", "w_hh", "v")

    def __init__(self, forward: OneStep, roles: Sequence[str], needed: Sequence[bool], fixed: Mapping[str, int]):
        shape, given = forward.shape, [role for role, need in zip(roles, needed) if need]
        plan = backward_launch(shape, need_x="x" in given, need_w_ih="w_ih" in given)
        own = workspace.Layout(shape.arithmetic.itemsize)
        for s in shape.step.state:  # the kernel writes these gradients also where nobody needs them
            if f"start.{s}" not in given:
                own.add(f"d_start.{s}", shape.B * shape.H)
        super().__init__(plan, fixed, own)
        at, first = plan.at, shape.step.state[0]
        self.read = [k for k, role in enumerate(roles) if role in self.READ]
        sums = [name for name in ("w_ih", "w_hh") if name in given and f"sum_{name}" not in plan.scratch.offset]
        #: The gradients whose address is also that of a sum, by their number among those that are needed.
        self.sums = [given.index(name) for name in sums]
        incoming = [f"d_outputs{end}" for end in ("", "_b")]
        incoming += [f"d_final{end}.{s}" for s in shape.step.state for end in ("", "_b")]
        self.slots = [
            *[at[roles[k]] for k in self.read],
            *[at[f"d_{role}"] for role in given],
            *[at[f"sum_{name}"] for name in sums],
            *[at[name] for name in incoming],
        ]
        names = [*forward.plan.kept.offset, f"seq.{first}"]
        self.saved = [(at[name], offset) for name, (_, offset) in zip(names, forward.saved)]

    def run(self, words: Sequence[int], kept: int) -> None:
        """words: the addresses of the tensors `read`, of the needed gradients, and again of those in `sums`; then of
        the gradients of the outputs and of each new state, each followed by its row stride. kept: what the forward call
        has kept."""
        memory = self.take()
        array = memory.array
        for i, word in zip(self.slots, words):
            array[i] = word
        for i, offset in self.saved:
            array[i] = kept + offset
        self.start(memory)
