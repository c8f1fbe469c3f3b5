"""Norm, clipping and update of parameters on the CPU kernels, in one pass over the gradients each."""

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate

import torch
from torch import Tensor

from tidegate.engines import transforms
from tidegate.engines.cpu import kernels, runtime, team
from tidegate.engines.cpu.abi import APART
from tidegate.engines.cpu.boundary import address
from tidegate.engines.cpu.kernels import Kernel, Once, function_of
from tidegate.engines.cpu.key import key
from tidegate.engines.cpu.launch_plan import REAL
from tidegate.engines.cpu.target import Target
from tidegate.engines.cpu.update_abi import ADAMW, ARGUMENTS, BLOCK, NORM, ROW, SGD

#: Elements below which a second thread costs more than it saves.
SMALL = 1 << 16
#: 64-bit words of the barriers.
BARRIERS = 2 * APART
#: The number types of factors and sums.
NUMBER = {torch.float32: ctypes.c_float, torch.float64: ctypes.c_double}


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
    dtype = gradients[0].dtype
    kernel = update_kernel(NORM, kernels.here(), REAL[dtype])
    firsts = [0, *accumulate([-(-g.numel() // BLOCK) for g in gradients])]
    blocks = firsts[-1]
    sums, found = (NUMBER[dtype] * (blocks + kernel.lanes))(), NUMBER[dtype]()
    rows = [(0, address(g), 0, 0, 0, 0, g.numel(), first) for g, first in zip(gradients, firsts)]
    _run(kernel, rows, sums=ctypes.addressof(sums), blocks=blocks, norm=ctypes.addressof(found))
    return found.value


def sgd(tensors: Sequence[tuple[Tensor, Tensor]], factors: Sequence[Sequence[float]], *, clipped: bool) -> None:
    """Update each (parameter, gradient) with its SGD_FACTORS; with `clipped` the scaled gradients are stored."""
    kernel, numbers = _prepared(SGD, tensors[0][0].dtype, factors)
    rows = [
        (address(p), address(g), 0, 0, 0, at, p.numel(), 0) for (p, g), at in zip(tensors, _addresses(numbers, factors))
    ]
    _run(kernel, rows, clipped=int(clipped))


def adamw(tensors: Sequence[tuple[Tensor, ...]], factors: Sequence[Sequence[float]], *, clipped: bool) -> None:
    """Update each (parameter, gradient, average, average of squares, step) with its ADAMW_FACTORS."""
    kernel, numbers = _prepared(ADAMW, tensors[0][0].dtype, factors)
    rows = [(*map(address, each), at, each[0].numel(), 0) for each, at in zip(tensors, _addresses(numbers, factors))]
    _run(kernel, rows, clipped=int(clipped))


def _prepared(name: str, dtype: torch.dtype, factors: Sequence[Sequence[float]]) -> tuple[Kernel, ctypes.Array]:
    """The kernel, and the factors of all tensors in memory."""
    numbers = [x for each in factors for x in each]
    return update_kernel(name, kernels.here(), REAL[dtype]), (NUMBER[dtype] * len(numbers))(*numbers)


def _addresses(numbers: ctypes.Array, factors: Sequence[Sequence[float]]) -> range:
    """The address of the factors of each tensor."""
    start, each = ctypes.addressof(numbers), len(factors[0]) * ctypes.sizeof(numbers) // len(numbers)
    return range(start, start + each * len(factors), each)


def _run(
    kernel: Kernel,
    rows: Sequence[Sequence[int]],
    *,
    sums: int = 0,
    blocks: int = 0,
    norm: int = 0,
    clipped: int = 0,
) -> None:
    """Run a kernel on tensors, given as rows of their words."""
    words = (ctypes.c_int64 * (len(ROW) * len(rows)))(*[word for row in rows for word in row])
    values = {
        "count": len(rows), "tensors": ctypes.addressof(words), "row_teams": 1, "sums": sums, "blocks": blocks,
        "norm": norm, "clipped": clipped,
    }  # fmt: skip
    names = kernel.arguments
    array = (ctypes.c_int64 * (len(names) + BARRIERS))(*[values.get(name, 0) for name in names])
    array[names.index("barriers")] = ctypes.addressof(array) + 8 * len(names)
    size = sum(row[ROW.index("size")] for row in rows)
    kernel(array, 1 if size < SMALL else team.threads())


@lru_cache
def update_kernel(name: str, target: Target, real: str) -> Kernel:
    """One of the kernels; all are in one library."""
    library = update_library(target, real)
    return function_of(library.library, name, list(ARGUMENTS), target.lanes(real))


@Once
def update_library(target: Target, real: str) -> Kernel:
    def program() -> str:
        from tidegate.engines.cpu import update_kernel
        from tidegate.engines.cpu.vector import Code

        code = Code(target, real)
        update_kernel.emit(code)
        return str(code.module)

    made = runtime.object_code(key(target, real, "update"), program, target)
    return function_of(runtime.Library(made, target, team.symbols()), NORM, list(ARGUMENTS), target.lanes(real))
