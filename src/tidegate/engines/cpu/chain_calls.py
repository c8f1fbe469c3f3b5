"""Calls of the small kernels between those of a training step, and the library that they are in."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tidegate.engines.cpu import kernels, team
from tidegate.engines.cpu.boundary import address
from tidegate.engines.cpu.chain_abi import ARGUMENTS, CHAIN, CHECK, MULTIPLY, TRANSPOSE, ZERO
from tidegate.engines.cpu.kernel_call import KernelCall
from tidegate.engines.cpu.kernels import Kernel, Once, function_of, library_of, shared
from tidegate.engines.cpu.launch_plan import REAL
from tidegate.engines.cpu.pace import Pace
from tidegate.engines.cpu.target import Target

if TYPE_CHECKING:
    from tidegate.engines.cpu.vector import Code

#: Below this number of elements a second thread costs more than it saves.
SMALL = 1 << 16


def check(count: int, classes: int, ignored: int) -> KernelCall:
    """A check of `count` class indices, whose address, "index", is not set yet: each must be in 0..classes-1 or equal
    `ignored`."""
    return _call(CHECK, torch.float32, 0, {"count": count, "classes": classes, "ignored": ignored}, None)


def zero(t: Tensor) -> KernelCall:
    """Set t, contiguous, to zeros."""
    words = {"at": address(t), "count": t.numel()}
    return _call(ZERO, t.dtype, t.numel(), words, t)


def multiply(left: Tensor, right: Tensor, out: Tensor) -> KernelCall:
    """out = left * right, rows of adjacent numbers at equal distances; right is contiguous."""
    columns = right.shape[-1]
    # As two dimensions: in more, the stride of a dimension of size 1 may be any number.
    rows = [t.view(-1, columns) for t in (left, right, out)]
    words = {
        "rows": len(rows[0]), "columns": columns, "left": address(left), "left_row": rows[0].stride(0),
        "right": address(right), "out": address(out), "out_row": rows[2].stride(0),
    }  # fmt: skip
    return _call(MULTIPLY, right.dtype, right.numel(), words, (left, right, out))


def transpose(source: Tensor, out: Tensor) -> KernelCall:
    """out = the transpose of source, both contiguous."""
    rows, columns = source.shape
    words = {"rows": rows, "columns": columns, "source": address(source), "out": address(out)}
    return _call(TRANSPOSE, source.dtype, source.numel(), words, (source, out))


def _call(name: str, dtype: torch.dtype, size: int, words: Mapping[str, int], alive: object) -> KernelCall:
    kernel = chain_kernel(name, kernels.here(), REAL[dtype])
    values = {"row_teams": 1, **words}

    def filled(_: int) -> ctypes.Array:
        return (ctypes.c_int64 * len(kernel.arguments))(*[values.get(name, 0) for name in kernel.arguments])

    return KernelCall(kernel, Pace(1 if size < SMALL else team.threads()), 0, filled, alive)


@Once
def chain_kernel(name: str, target: Target, real: str) -> Kernel:
    """One of the kernels; all are in one library."""
    library = chain_library(target, real)
    return function_of(library.library, name, list(ARGUMENTS[name]), library.lanes)


@Once
def chain_library(target: Target, real: str) -> Kernel:
    """The chain itself."""

    def emit(code: Code) -> None:
        from tidegate.engines.cpu import chain_kernel

        chain_kernel.emit(code)

    library = library_of(target, real, CHAIN, emit, {**shared(target, real)[1], **team.symbols()})
    return function_of(library, CHAIN, [], target.lanes(real))
