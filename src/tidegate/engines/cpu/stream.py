"""A program of `tidegate.stream` on the CPU kernels: buffers at fixed addresses, and one call for each step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import prod

import numpy as np
import torch

from tidegate.engines.cpu import kernels
from tidegate.engines.cpu.abi import ROW, blocks
from tidegate.engines.cpu.kernels import Kernel
from tidegate.engines.cpu.launch_plan import REAL
from tidegate.engines.cpu.stream_kernels import chain_kernel, linear_kernel, step_kernel
from tidegate.engines.cpu.stream_packed import PackedLayer, PackedLinear
from tidegate.engines.cpu.workspace import ALIGNMENT, NUMPY, Memory
from tidegate.engines.plan import forward_plan, operand_state
from tidegate.errors import ArgumentTypeError

Packed = PackedLayer | PackedLinear


class Program:
    """`run()` makes one step of all parts: it reads `x` (B, D), or `index` (B,) after `use_indices(True)`, writes `y`
    (B, outputs) and updates `states`, a tuple of (B, H) for each recurrent layer; the interpreter's lock is released
    meanwhile.

    All of them are NumPy arrays at fixed addresses. The packed weights may be shared by several programs.
    """

    def __init__(self, parts: Sequence[Packed], batch: int, dtype: torch.dtype):
        self.parts, self.batch, self.dtype = tuple(parts), batch, dtype
        self._real, self._target = REAL[dtype], kernels.here()
        self._kept: list[np.ndarray] = []
        self.index = np.zeros(batch, np.int64)
        self.x = self.y = self._memory(batch, parts[0].D)
        self.states: list[tuple[np.ndarray, ...]] = []
        words = [len(self.parts)]
        for part in self.parts:
            add = self._layer if isinstance(part, PackedLayer) else self._linear
            self.y, kernel, arguments = add(part)  # type: ignore[arg-type]
            words += [kernel.address, arguments.ctypes.data]
        chain = self._words(range(len(words)), dict(enumerate(words)))
        # Without a function of Python between the caller and the kernel: it would take a third of a small step.
        call: Callable[[int], None] = chain_kernel(self._target, self._real, parts[0].stored).alone  # type: ignore[assignment]
        self.run = partial(call, chain.ctypes.data)

    def use_indices(self, indices: bool) -> None:
        """From now on the first part, a recurrent layer, reads `index`, or again `x`."""
        self._first[self._classes] = self.index.ctypes.data if indices else 0

    def fork(self) -> Program:
        """Another program with the same weights and with zeros as states."""
        return Program(self.parts, self.batch, self.dtype)

    def __reduce__(self) -> str:
        raise ArgumentTypeError("a program of the CPU engine holds addresses, so it cannot be copied or pickled.")

    def _memory(self, *shape: int) -> np.ndarray:
        """Zeros at a cache line; kept as long as the program."""
        memory = self._scratch(*shape)
        memory[...] = 0
        return memory

    def _scratch(self, *shape: int) -> np.ndarray:
        """Memory of any content at a cache line, with readable bytes of one vector after it."""
        size = prod(shape) * self.dtype.itemsize
        memory = Memory(size + ALIGNMENT).array
        self._kept.append(memory)
        return memory[:size].view(NUMPY[self.dtype]).reshape(shape)

    def _words(self, names: Sequence, values: Mapping) -> np.ndarray:
        """A kernel's argument; 0 for what is not given."""
        words = np.array([values.get(name, 0) for name in names], np.int64)
        self._kept.append(words)
        return words

    def _row(self, numbers: int) -> int:
        """So many numbers, rounded up to whole vectors."""
        lanes = self._target.lanes(self._real)
        return -(-numbers // lanes) * lanes

    def _input(self) -> dict[str, int]:
        """The input of the next part: the outputs of the one before it."""
        return {"x": self.y.ctypes.data, "x_b": self.y.strides[0] // self.y.itemsize, "B": self.batch}

    def _layer(self, part: PackedLayer) -> tuple[np.ndarray, Kernel, np.ndarray]:
        """The outputs of a recurrent layer, its kernel and the kernel's argument."""
        step, B, H = part.step, self.batch, part.H
        panels = part.panels
        kernel = step_kernel(step, self._target, self._real, part.stored, on_matrix=panels is not None)
        row = self._row(H)
        plan = forward_plan(step, save=False, ragged=False, traced=False)
        scratch = {
            "a": (B, len(step.inputs), row),
            "sums": (B, max((len(stage.gates) for stage in step.stages), default=0), row),
            "cross": (B, plan.cross, H),
            "operand": (len(step.stages) + 1, B, H),
            "aside": (B, self._row(max(part.D, H)) + kernel.lanes),
            "x_terms": (0 if panels is None else B * blocks(part.D) * ROW,),
        }
        words = self._input() | {"T": 1, "D": part.D, "H": H, "b_ih": int(part.bias)}
        words |= {name: self._scratch(*shape).ctypes.data for name, shape in scratch.items()}
        words |= {name: array.ctypes.data for name, array in part.arrays.items()}
        words |= {"x_t": B * words["x_b"], "row_teams": 1, "packed_w": 0 if panels is None else panels.address}
        states = []
        in_products = {operand_state(step, k) for k in range(len(step.stages))}
        for i, s in enumerate(step.state):
            rows = 2 if i == 0 or i in in_products else 1
            sequence = self._memory(rows, B, H)
            words |= {f"seq.{s}": sequence.ctypes.data, f"seq_t.{s}": B * H * (rows - 1)}
            states.append(sequence[0])
        arguments = self._words(kernel.arguments, words)
        if part is self.parts[0]:
            self._first, self._classes = arguments, list(kernel.arguments).index("classes")
        self.states.append(tuple(states))
        return states[0], kernel, arguments

    def _linear(self, part: PackedLinear) -> tuple[np.ndarray, Kernel, np.ndarray]:
        """The outputs of a linear layer, its kernel and the kernel's argument."""
        kernel = linear_kernel(self._target, self._real, part.stored)
        row = self._row(part.outputs)
        out, aside = self._scratch(self.batch, row), self._scratch(self.batch, self._row(part.D) + kernel.lanes)
        words = self._input() | {"D": part.D, "columns": row // kernel.lanes}
        words |= {"out": out.ctypes.data, "aside": aside.ctypes.data}
        words |= {name: array.ctypes.data for name, array in part.arrays.items()}
        return out[:, : part.outputs], kernel, self._words(kernel.arguments, words)
