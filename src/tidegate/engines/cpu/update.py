"""Norm, clipping and update of parameters on the CPU kernels, in one pass over the gradients each."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tidegate.engines import transforms
from tidegate.engines.cpu import kernels, team
from tidegate.engines.cpu.abi import APART
from tidegate.engines.cpu.boundary import address
from tidegate.engines.cpu.kernel_call import KernelCall
from tidegate.engines.cpu.kernels import Kernel, Once, function_of, library_of
from tidegate.engines.cpu.launch_plan import REAL
from tidegate.engines.cpu.pace import Pace
from tidegate.engines.cpu.target import Target
from tidegate.engines.cpu.update_abi import ADAMW, ADAMW_FACTORS, ARGUMENTS, BLOCK, NORM, ROW, SGD, SGD_FACTORS

if TYPE_CHECKING:
    from tidegate.engines.cpu.vector import Code

#: Elements below which a second thread costs more than it saves.
SMALL = 1 << 16
#: 64-bit words of the barriers.
BARRIERS = 2 * APART
#: The number types of factors and sums.
NUMBER = {torch.float32: ctypes.c_float, torch.float64: ctypes.c_double}
#: The number of factors that a tensor has.
FACTORS = {SGD: len(SGD_FACTORS), ADAMW: len(ADAMW_FACTORS)}


def refuse(tensors: Sequence[Tensor]) -> str | None:
    """Why the kernels cannot read and write these tensors, as the end of a sentence; None if they can."""
    if not tensors:
        return "there are no gradients"
    kind = tensors[0].dtype
    if kind not in REAL:
        return f"it takes {', '.join(map(str, REAL))}, and a tensor is {kind}"
    for t in tensors:
        if t.dtype is not kind:
            return f"it takes tensors of one type, and they are {kind} and {t.dtype}"
        if not t.is_cpu or t.layout is not torch.strided or not t.is_contiguous() or t.is_neg():
            return "it takes dense tensors on the CPU with adjacent elements"
    return transforms.refuse_tensors(tensors)


def norm(gradients: Sequence[Tensor]) -> float:
    """The square root of the sum of the squares of all elements; the same bits for any number of threads."""
    call = NormCall.of(gradients)
    call.kernel_call.run()
    return call.norm.value


@dataclass
class NormCall:
    """A call of the kernel of the norm, the number to which it writes it, and the words of the gradients, which it
    keeps alive."""

    kernel_call: KernelCall
    norm: Any
    table: ctypes.Array
    gradients: Sequence[Tensor]

    @classmethod
    def of(cls, gradients: Sequence[Tensor]) -> NormCall:
        dtype = gradients[0].dtype
        kernel = update_kernel(NORM, kernels.here(), REAL[dtype])
        firsts = [0, *accumulate([-(-g.numel() // BLOCK) for g in gradients])]
        blocks = firsts[-1]
        sums, found = (NUMBER[dtype] * (blocks + kernel.lanes))(), NUMBER[dtype]()
        table = table_of([(0, address(g), 0, 0, 0, 0, g.numel(), first) for g, first in zip(gradients, firsts)])
        words = {"sums": ctypes.addressof(sums), "blocks": blocks, "norm": ctypes.addressof(found)}
        return cls(_call(kernel, table, words, (sums, found)), found, table, gradients)

    def place(self, gradients: Sequence[Tensor], addresses: Sequence[int]) -> None:
        """Read other gradients of the same sizes, at these addresses."""
        self.gradients = gradients
        self.table[ROW.index("gradient") :: len(ROW)] = addresses


class Update:
    """Updates by one kernel, SGD or ADAMW, of rows of tensors (parameter, gradient) or (parameter, gradient, average,
    average of squares, step), whose addresses are written once, or by `place`.

    Rows with the same object in `settings` that have made the same number of steps form a group, whose factors are the
    same: `groups` has the group of every row, `first` a row of every group. `steps` are the numbers of steps, which the
    kernel counts.
    """

    def __init__(self, name: str, tensors: Sequence[tuple[Tensor, ...]], settings: Sequence[object]):
        number, count = NUMBER[tensors[0][0].dtype], FACTORS[name]
        at = [[address(t) for t in row] for row in tensors]
        self.number, self.steps = number, [number.from_address(row[4]) for row in at if len(row) > 4]
        known = [(id(own), step.value) for own, step in zip(settings, self.steps)] or [(id(own), 0) for own in settings]
        order = {key: group for group, key in enumerate(dict.fromkeys(known))}
        self.groups = [order[key] for key in known]
        self.first = [self.groups.index(group) for group in range(len(order))]
        self.factors = (number * (count * len(order)))()
        start, each = ctypes.addressof(self.factors), count * ctypes.sizeof(number)
        none = [0] * (len(ROW) - 3 - len(at[0]))
        rows = [
            (*own, *none, start + each * group, row[0].numel(), 0) for own, row, group in zip(at, tensors, self.groups)
        ]
        kernel = update_kernel(name, kernels.here(), REAL[tensors[0][0].dtype])
        self.table, self.width, self.tensors = table_of(rows), len(at[0]), tensors
        self.call = _call(kernel, self.table, {}, None)
        self.array, self.clipped = self.call.filled(0), list(kernel.arguments).index("clipped")
        self.barriers = ctypes.addressof(self.array) + 8 * len(kernel.arguments)

    def place(self, tensors: Sequence[tuple[Tensor, ...]], addresses: Sequence[int]) -> None:
        """Take other rows of tensors of the same sizes; the addresses of all of them, row by row."""
        self.tensors, width = tensors, self.width
        for column in range(width):
            self.table[column :: len(ROW)] = addresses[column::width]
        self.steps = [self.number.from_address(at) for at in addresses[4::width]] if width > 4 else []

    def steps_agree(self) -> bool:
        """Whether the rows of a group have still made the same number of steps."""
        steps = self.steps
        return all(step.value == steps[self.first[group]].value for step, group in zip(steps, self.groups))

    def run(self, factors: Sequence[float], *, clipped: bool) -> None:
        """Update all tensors with these factors, one group after the other; with `clipped` the scaled gradients are
        stored."""
        self.factors[:] = factors
        self.array[self.clipped] = clipped
        threads = self.call.pace.team
        if threads > 1:
            ctypes.memset(self.barriers, 0, 8 * BARRIERS)
        self.call.kernel(self.array, threads)


def table_of(rows: Sequence[Sequence[int]]) -> ctypes.Array:
    """The words of all tensors, row by row."""
    return (ctypes.c_int64 * (len(ROW) * len(rows)))(*[word for row in rows for word in row])


def _call(kernel: Kernel, table: ctypes.Array, words: Mapping[str, int], alive: object) -> KernelCall:
    """A call of a kernel on tensors, given as the table of their words."""
    sizes = table[ROW.index("size") :: len(ROW)]
    values = {"count": len(sizes), "tensors": ctypes.addressof(table), "row_teams": 1, **words}
    names = kernel.arguments

    def filled(_: int) -> ctypes.Array:
        array = (ctypes.c_int64 * (len(names) + BARRIERS))(*[values.get(name, 0) for name in names])
        array[names.index("barriers")] = ctypes.addressof(array) + 8 * len(names)
        return array

    return KernelCall(kernel, Pace(1 if sum(sizes) < SMALL else team.threads()), 0, filled, (table, alive))


@lru_cache
def update_kernel(name: str, target: Target, real: str) -> Kernel:
    """One of the kernels; all are in one library."""
    library = update_library(target, real)
    return function_of(library.library, name, list(ARGUMENTS), target.lanes(real))


@Once
def update_library(target: Target, real: str) -> Kernel:
    def emit(code: Code) -> None:
        from tidegate.engines.cpu import update_kernel

        update_kernel.emit(code)

    library = library_of(target, real, "update", emit, team.symbols())
    return function_of(library, NORM, list(ARGUMENTS), target.lanes(real))
