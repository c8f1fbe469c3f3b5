"""The compiled kernels of this process, each compiled or loaded once.

The modules that emit kernels are imported only when one must be compiled.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache as once
from threading import RLock
from typing import TYPE_CHECKING, Generic, ParamSpec

from tidegate.calculus import Step
from tidegate.engines.cpu import runtime, team
from tidegate.engines.cpu.abi import (
    BACKWARD,
    FORWARD,
    SHARED,
    SHARED_BFLOATS,
    SHARED_MATRIX,
    SHARED_PAIRS,
    Form,
    Products,
    backward_arguments,
    forward_arguments,
    matrix_usable,
    symbol,
)
from tidegate.engines.cpu.key import key, written
from tidegate.engines.cpu.target import Target, host
from tidegate.engines.plan import backward_plan, forward_plan
from tidegate.errors import EngineError
from tidegate.forks import held_while_forking

if TYPE_CHECKING:
    from tidegate.engines.cpu.vector import Code

#: All products multiply numbers.
NUMBERS = Products()

P = ParamSpec("P")

_compiling = held_while_forking(RLock())


@dataclass(frozen=True, eq=False)
class Kernel:
    """A compiled function of one argument, an array of 64-bit words named by `arguments` (see `abi`); `lanes` numbers
    fill a vector register."""

    library: runtime.Library
    address: int
    alone: Callable[[ctypes.Array], None]
    arguments: Sequence[str]
    lanes: int

    def __call__(self, arguments: ctypes.Array, threads: int) -> None:
        """Run in PyTorch's OpenMP threads; the interpreter's lock is released meanwhile."""
        if threads == 1:
            self.alone(arguments)
        else:
            parallel()(self.address, arguments, threads, 0)

    @once  # noqa: B019  kernels live as long as the process
    def entry(self, name: str) -> Kernel:
        """Another function of the same library, with the same arguments."""
        return function_of(self.library, name, self.arguments, self.lanes)


class Once(Generic[P]):
    """A function that makes kernels, called once for the same arguments however many threads call it at once.

    functools.cache would let each thread make its own and drop all but one without holding a lock, so a child forked
    at that time could inherit LLVM in the middle of a compilation.
    """

    def __init__(self, make: Callable[P, Kernel]):
        self._make = make
        self._made: dict[tuple, Kernel] = {}

    def __call__(self, *arguments: P.args, **options: P.kwargs) -> Kernel:
        key = arguments, tuple(sorted(options.items()))
        kernel = self._made.get(key)
        if kernel is None:
            with _compiling:
                kernel = self._made.get(key)
                if kernel is None:
                    kernel = self._made[key] = self._make(*arguments, **options)
        return kernel

    def cache_clear(self) -> None:
        self._made.clear()


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
        raise EngineError('engine "cpu" does not support the vector unit of this processor.')
    return target


Shared = tuple[runtime.Library, dict[str, int]]


def library_of(
    target: Target, real: str, what: str, emit: Callable[[Code], None], symbols: Mapping[str, int]
) -> runtime.Library:
    """The library `what` of the functions that `emit` writes, which call those at the addresses `symbols`."""

    def program() -> str:
        from tidegate.engines.cpu.vector import Code

        code = Code(target, real)
        emit(code)
        return str(code.module)

    return runtime.Library(runtime.object_code(key(target, real, what), program, target), target, symbols)


def _shared(target: Target, real: str, what: str, names: Sequence[str], emit: Callable[[Code], None]) -> Shared:
    """A library, with the addresses of its functions of these names, by symbol."""
    library = library_of(target, real, what, emit, {})
    return library, {name: library[name] for name in (symbol(real, name) for name in names)}


@once
def shared(target: Target, real: str) -> Shared:
    """The matrix product and the packing functions, with their addresses by symbol."""
    on_matrix_unit = matrix_usable(target, real)

    def emit(code: Code) -> None:
        from tidegate.engines.cpu import matrix, tile

        tile.emit(code)
        if on_matrix_unit:
            matrix.emit(code)

    return _shared(target, real, "product", (*SHARED, *(SHARED_MATRIX if on_matrix_unit else ())), emit)


@once
def shared_pairs(target: Target, real: str) -> Shared:
    """The products of pairs of bfloat16 numbers and the packing of their operands."""

    def emit(code: Code) -> None:
        from tidegate.engines.cpu import pairs

        pairs.emit(code)

    return _shared(target, real, "product of pairs", SHARED_PAIRS, emit)


@once
def shared_bfloats(target: Target, real: str) -> Shared:
    """The packing of operands that are bfloat16 numbers in memory."""

    def emit(code: Code) -> None:
        from tidegate.engines.cpu import pairs

        pairs.emit_for_bfloats(code)

    return _shared(target, real, "packing of bfloat16 numbers", SHARED_BFLOATS, emit)


def forward_program(
    step: Step, target: Target, real: str, *, save: bool, ragged: bool, traced: bool, products: Products = NUMBERS,
    stored: str | None = None,
) -> Code:  # fmt: skip
    """The LLVM module of the forward kernel, for any target."""
    from tidegate.engines.cpu import forward
    from tidegate.engines.cpu.vector import Code

    code = Code(target, real, stored)
    forward.emit(code, forward_plan(step, save=save, ragged=ragged, traced=traced), ragged=ragged, products=products)
    return code


def backward_program(
    step: Step, target: Target, real: str, *, ragged: bool, traced: bool, products: Products = NUMBERS,
    stored: str | None = None,
) -> Code:  # fmt: skip
    """The LLVM module of the backward kernel, for any target."""
    from tidegate.engines.cpu import backward
    from tidegate.engines.cpu.vector import Code

    code = Code(target, real, stored)
    backward.emit(code, backward_plan(step, ragged=ragged, traced=traced), ragged=ragged, products=products)
    return code


@Once
def forward_kernel(
    step: Step, target: Target, real: str, *, save: bool, ragged: bool, traced: bool, products: Products = NUMBERS,
    stored: str | None = None,
) -> Kernel:  # fmt: skip
    """The forward kernel. stored: "bfloat" for tensors of bfloat16 numbers, whose products are of pairs."""

    def program() -> str:
        form = {"save": save, "ragged": ragged, "traced": traced}
        return str(forward_program(step, target, real, **form, products=products, stored=stored).module)

    plan = forward_plan(step, save=save, ragged=ragged, traced=traced)
    name = key(target, real, f"ragged={ragged} products={products} stored={stored}", written(plan))
    made = runtime.object_code(name, program, target)
    return _link(made, target, real, FORWARD, forward_arguments(plan), products, stored)


@Once
def backward_kernel(
    step: Step, target: Target, real: str, *, ragged: bool, traced: bool, products: Products = NUMBERS,
    stored: str | None = None,
) -> Kernel:  # fmt: skip
    """The backward kernel, with the options of the forward kernel."""

    def program() -> str:
        form = {"ragged": ragged, "traced": traced}
        return str(backward_program(step, target, real, **form, products=products, stored=stored).module)

    plan = backward_plan(step, ragged=ragged, traced=traced)
    name = key(target, real, f"ragged={ragged} products={products} stored={stored}", written(plan))
    made = runtime.object_code(name, program, target)
    return _link(made, target, real, BACKWARD, backward_arguments(plan), products, stored)


def _link(
    made: bytes, target: Target, real: str, name: str, arguments: Sequence[str], products: Products, stored: str | None
) -> Kernel:
    symbols = {**shared(target, real)[1], **team.symbols()}
    if Form.PAIRS in products:
        symbols |= shared_pairs(target, real)[1]
    if stored is not None:
        symbols |= shared_bfloats(target, real)[1]
    library = runtime.Library(made, target, symbols)
    return function_of(library, name, arguments, target.lanes(real))


def function_of(library: runtime.Library, name: str, arguments: Sequence[str], lanes: int) -> Kernel:
    address = library[name]
    return Kernel(library, address, ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address), arguments, lanes)
