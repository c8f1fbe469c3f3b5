"""Compiled kernels by what they are for, each made once in a process."""

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache as once
from threading import RLock

from tidegate.calculus import Step
from tidegate.engines.cpu import backward, forward, runtime, team, tile
from tidegate.engines.cpu.plan import backward_plan, forward_plan
from tidegate.engines.cpu.target import Target, host
from tidegate.engines.cpu.vector import Code
from tidegate.errors import EngineError

SHARED = ("product", "pack_transposed", "pack_rows", "scatter_rows")

_compiling = RLock()


@dataclass(frozen=True, eq=False)
class Kernel:
    """A function of one argument, an array of 64-bit words named by `words`; `lanes` numbers make a vector."""

    library: runtime.Library
    address: int
    alone: Callable[[ctypes.Array], None]
    words: Sequence[str]
    lanes: int

    def __call__(self, words: ctypes.Array, threads: int) -> None:
        """Run in PyTorch's OpenMP team; the interpreter's lock is free meanwhile."""
        if threads == 1:
            self.alone(words)
        else:
            parallel()(self.address, words, threads, 0)


@once
def parallel() -> Callable:
    """GOMP_parallel(function, data, threads, flags)."""
    library = team.openmp()
    if library is None:
        raise EngineError('engine "cpu" found no OpenMP library with GOMP_parallel.')
    function = library.GOMP_parallel
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    function.restype = None
    return function


def here() -> Target:
    target = host()
    if target is None:
        raise EngineError('engine "cpu" does not know the vector unit of this processor.')
    return target


@once
def shared(target: Target, real: str) -> tuple[runtime.Library, dict[str, int]]:
    """The matrix product and the packing functions, with their addresses by symbol."""
    code = Code(target, real)
    tile.emit(code)
    library = runtime.Library(str(code.module), target, {})
    return library, {tile.symbol(code, name): library[tile.symbol(code, name)] for name in SHARED}


def forward_program(step: Step, target: Target, real: str, *, save: bool, ragged: bool, traced: bool) -> Code:
    """The forward kernel's program for any target."""
    code = Code(target, real)
    forward.emit(code, forward_plan(step, save=save, ragged=ragged, traced=traced), ragged=ragged)
    return code


def backward_program(step: Step, target: Target, real: str, *, ragged: bool, traced: bool) -> Code:
    """The backward kernel's program for any target."""
    code = Code(target, real)
    backward.emit(code, backward_plan(step, ragged=ragged, traced=traced), ragged=ragged)
    return code


@once
def forward_kernel(step: Step, target: Target, real: str, *, save: bool, ragged: bool, traced: bool) -> Kernel:
    with _compiling:
        code = forward_program(step, target, real, save=save, ragged=ragged, traced=traced)
        plan = forward_plan(step, save=save, ragged=ragged, traced=traced)
        return _link(code, forward.NAME, forward.words(plan))


@once
def backward_kernel(step: Step, target: Target, real: str, *, ragged: bool, traced: bool) -> Kernel:
    with _compiling:
        code = backward_program(step, target, real, ragged=ragged, traced=traced)
        return _link(code, backward.NAME, backward.words(backward_plan(step, ragged=ragged, traced=traced)))


def _link(code: Code, name: str, words: Sequence[str]) -> Kernel:
    symbols = {**shared(code.target, code.real_name)[1], **team.symbols()}
    library = runtime.Library(str(code.module), code.target, symbols)
    address = library[name]
    return Kernel(library, address, ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address), words, code.lanes)
