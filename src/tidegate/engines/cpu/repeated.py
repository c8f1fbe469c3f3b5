"""Calls of one shape, repeated: all arguments but the addresses of the caller's tensors are filled in beforehand.

A call of a small layer takes a few microseconds, less than the general route (`launch.forward`, `launch.backward`)
needs to collect the arguments of any call.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Collection, Mapping, Sequence

from tidegate.calculus import Step
from tidegate.engines.cpu import workspace
from tidegate.engines.cpu.abi import addressed
from tidegate.engines.cpu.launch_plan import LaunchPlan, Shape, backward_launch, forward_launch

#: Bytes from which on the memory of a call comes from the pool: a program may keep hundreds of forms of calls.
OWN = 1 << 16


class Filled:
    """Repeated calls of one launch plan: most arguments are filled in once, the others in each call. Concurrent calls
    use separate memory.

    fixed: arguments besides those of the plan's template, by name. own: more arrays that the kernel uses. Memory of
    fewer than OWN bytes for all of them stays with the arguments, other memory comes from the pool in each call.
    results: small arrays that always stay with the arguments.
    """

    #: In calls whose outputs are the second state of a sequence: the argument for the distance of two states, in
    #: numbers of so many bytes.
    stride, item = 0, 1

    def __init__(
        self,
        plan: LaunchPlan,
        fixed: Mapping[str, int],
        own: workspace.Layout,
        results: workspace.Layout | None = None,
    ):
        self.plan, self.fixed, self.results, at = plan, fixed, results or workspace.Layout(1), plan.at
        self.kernel = plan.kernel.alone if plan.pace.team == 1 else plan.launch
        self.size = 0
        self.arrays: list[tuple[int, int]] = []
        for layout in (own, plan.scratch, plan.packed):
            self.arrays += [(at[name], self.size + offset) for name, offset in layout.offset.items()]
            self.size += layout.size
        self.pooled = self.size >= OWN
        self.free: list[Memory] = []

    def take(self) -> Memory:
        """Arguments that no other call uses."""
        try:
            return self.free.pop()
        except IndexError:
            return Memory(self)

    def start(self, memory: Memory, outputs: int = 0) -> None:
        """As `call`, and give the memory back."""
        self.call(memory, outputs)
        self.free.append(memory)

    def call(self, memory: Memory, outputs: int = 0) -> None:
        """Run the kernel. With the address `outputs`, the second state goes there; the first array of `own` is the
        first."""
        scratch = workspace.take(self.size) if self.pooled else None
        try:
            if scratch is not None:
                memory.place(scratch.address)
            if outputs:
                memory.array[self.stride] = (outputs - memory.scratch) // self.item
            self.kernel(memory.array)
        finally:
            if scratch is not None:
                workspace.give_back(scratch)
        if memory.counters is not None:
            ctypes.memset(*memory.counters)


class Memory:
    """The arguments of a call and its small memory; `scratch` is the address of the arrays to which the arguments
    point, `results` that of the results. `counters`: the arguments of the memset that sets the barriers to zero after
    a call of several threads."""

    def __init__(self, calls: Filled):
        inside = 0 if calls.pooled else calls.size
        self.block = workspace.Memory(inside + calls.results.size)
        self.arrays, self.scratch, self.results = calls.arrays, 0, self.block.address + inside
        self.array = calls.plan.filled(calls.fixed, (self.results, calls.results))
        barriers = self.array[calls.plan.at["barriers"]]
        end = ctypes.addressof(self.array) + ctypes.sizeof(self.array)
        self.counters = (barriers, 0, end - barriers) if calls.plan.pace.team > 1 else None
        if not calls.pooled:
            self.place(self.block.address)

    def place(self, scratch: int) -> None:
        """Let the arguments point to scratch memory at this address, often that of the call before."""
        if scratch != self.scratch:
            for i, offset in self.arrays:
                self.array[i] = scratch + offset
            self.scratch = scratch


def filler(step: Step, absent: Collection[str]) -> Callable[..., None]:
    """A function that writes the arguments `abi.addressed`, without those that are `absent`, which become 0."""
    words = "".join("8x" if name in absent else "q" for name in addressed(step))
    return struct.Struct("=" + words).pack_into


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
        self.fill = filler(shape.step, absent)
        #: What is kept for the backward pass, by the number of the argument, and its bytes.
        self.saved = [(plan.at[name], offset) for name, offset in plan.kept.offset.items()]
        self.saved += [(plan.at[f"seq.{first}"], plan.kept.size)]
        self.bytes_saved = plan.kept.size + 2 * row * self.item

    def run(self, addresses: Sequence[int], outputs: int = 0) -> None:
        """addresses: those of the call's tensors in the order of `abi.addressed`. With the address `outputs`, the first
        state also goes there."""
        memory = self.take()
        self.fill(memory.array, 0, *addresses)
        self.start(memory, outputs)

    def run_and_save(self, addresses: Sequence[int], kept: int) -> None:
        """As `run`; with `bytes_saved` bytes at the address `kept` for the backward pass."""
        memory = self.take()
        self.fill(memory.array, 0, *addresses)
        for i, offset in self.saved:
            memory.array[i] = kept + offset
        self.start(memory)


class Steps(Filled):
    """As `OneStep`, for any number of steps."""

    def __init__(self, shape: Shape, absent: Collection[str], fixed: Mapping[str, int], *, save: bool):
        plan, states = forward_launch(shape, save=save), shape.step.state
        super().__init__(plan, fixed, workspace.Layout(shape.arithmetic.itemsize))
        self.shape = shape
        self.fill = filler(shape.step, absent)
        self.first, self.outputs = plan.at[f"seq.{states[0]}"], plan.at["outputs"]
        #: States that are updated in place, in the memory of the final state: its number from the end of the addresses.
        self.in_place = [
            (plan.at[f"seq.{s}"], k - len(states))
            for k, s in enumerate(states)
            if k and f"seq.{s}" not in plan.scratch.offset and f"seq.{s}" not in plan.kept.offset
        ]
        self.saved = [(plan.at[name], offset) for name, offset in plan.kept.offset.items()]
        self.bytes_saved = plan.kept.size

    def run(self, addresses: Sequence[int], first: int, outputs: int, kept: int = 0) -> None:
        """addresses: as for `OneStep`. The sequence of the first state, (T + 1, B, H), goes to the address `first`, the
        outputs to `outputs`, and what is kept for the backward pass to `kept`."""
        memory = self.take()
        array = memory.array
        self.fill(array, 0, *addresses)
        array[self.first], array[self.outputs] = first, outputs
        for i, k in self.in_place:
            array[i] = addresses[k]
        for i, offset in self.saved:
            array[i] = kept + offset
        self.start(memory)


class Back(Filled):
    """Backward calls of one shape, of calls that `OneStep.run_and_save` or `Steps.run` has run.

    roles: the argument for each tensor of a call, as "x", "start.h" or "w_ih". needed: which of them get a gradient.
    """

    #: The tensors that the kernel reads again.
    READ = ("index", "x", "w_ih", "w_hh", "v")

    def __init__(
        self, forward: OneStep | Steps, roles: Sequence[str], needed: Sequence[bool], fixed: Mapping[str, int]
    ):
        shape, given = forward.shape, [role for role, need in zip(roles, needed) if need]
        plan = backward_launch(shape, need_x="x" in given, need_w_ih="w_ih" in given)
        own = workspace.Layout(shape.arithmetic.itemsize)
        for s in shape.step.state:  # the kernel writes these gradients also where nobody needs them
            if f"start.{s}" not in given:
                own.add(f"d_start.{s}", shape.B * shape.H)
        super().__init__(plan, fixed, own)
        at = plan.at
        self.read = [k for k, role in enumerate(roles) if role in self.READ]
        sums = [(f"sum_{name}", name) for name in ("w_ih", "w_hh") if f"sum_{name}" not in plan.scratch.offset]
        if shape.indexed:
            sums.append(("table", "w_ih"))
        sums = [(argument, name) for argument, name in sums if name in given]
        #: The gradients whose address is also that of another argument, by their number among those that are needed.
        self.sums = [given.index(name) for _, name in sums]
        incoming = [f"d_outputs{end}" for end in ("", "_t", "_b")]
        incoming += [f"d_final{end}.{s}" for s in shape.step.state for end in ("", "_b")]
        self.slots = [
            *[at[roles[k]] for k in self.read],
            *[at[f"d_{role}"] for role in given],
            *[at[argument] for argument, _ in sums],
            at[f"seq.{shape.step.state[0]}"],
            *[at[name] for name in incoming],
        ]
        self.saved = [(at[name], offset) for name, offset in forward.plan.kept.offset.items()]

    def run(self, words: Sequence[int], kept: int) -> None:
        """words: the addresses of the tensors `read`, of the needed gradients, and again of those in `sums`; that of
        the sequence of the first state; then of the gradients of the outputs, followed by their strides of time and of
        rows, and of each new state, followed by its stride of rows. kept: what the forward call has kept."""
        memory = self.take()
        array = memory.array
        for i, word in zip(self.slots, words, strict=True):
            array[i] = word
        for i, offset in self.saved:
            array[i] = kept + offset
        self.start(memory)
