"""Kernels made ahead, so that the first step of a later process compiles none."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tidegate.calculus import Step
from tidegate.engines.cpu import cache, chain_calls, kernels, linear_loss, stream_kernels, update
from tidegate.engines.cpu.abi import Form, Products
from tidegate.engines.cpu.ownership import own_folder
from tidegate.engines.cpu.target import Target
from tidegate.errors import EngineError

#: A function that makes one kernel, or finds it in the cache.
Making = Callable[[], object]
#: The form of weights in a stream that are not rounded.
UNROUNDED = "real"


@dataclass(frozen=True)
class Stored:
    """The folder of the compiled kernels, the number of its kernels and their bytes."""

    folder: Path
    count: int
    size: int


def every(steps: Sequence[Step], target: Target, real: str) -> list[Making]:
    """Functions that each compile a kernel of these cells, or one that all cells share: for training and for
    evaluation, with and without `lengths` and `resets`, for class indices and numbers, for a trained model's output
    layer and for single steps. Only a trace of every gate, streams with rounded weights, and bfloat16 products
    (`with_pairs`) need others."""
    return [*_shared(target, real), *(making for step in steps for making in _of_cell(step, target, real))]


def with_pairs(steps: Sequence[Step], target: Target, stored: str | None = None) -> list[Making]:
    """Those with bfloat16 products, for float32 tensors, or with stored="bfloat" for bfloat16 tensors; none for a
    processor that does not multiply such numbers."""
    if not target.pairs or (stored is not None and target.matrix):
        return []
    shared = [kernels.shared, kernels.shared_pairs, *([] if stored is None else [kernels.shared_bfloats])]
    found: list[Making] = [partial(function, target, "float") for function in shared]
    for step in steps:
        found += _passes(step, target, "float", Form.PAIRS, stored)
    return found


def _shared(target: Target, real: str) -> Iterator[Making]:
    yield partial(kernels.shared, target, real)
    yield partial(linear_loss.loss_kernel, target, real)
    yield partial(update.update_library, target, real)
    yield partial(chain_calls.chain_library, target, real)
    yield partial(stream_kernels.linear_kernel, target, real, UNROUNDED)


def _of_cell(step: Step, target: Target, real: str) -> Iterator[Making]:
    yield from _passes(step, target, real, Form.NUMBERS)
    for on_matrix in (False, True) if kernels.matrix_usable(target, real) else (False,):
        yield partial(stream_kernels.step_kernel, step, target, real, UNROUNDED, on_matrix=on_matrix)


def _passes(step: Step, target: Target, real: str, form: Form, stored: str | None = None) -> Iterator[Making]:
    """The two passes, with products in this form, on a matrix unit also with those that run there."""
    nowhere, chunks, everywhere = Products(form, form), Products(form, Form.TERMS), Products(Form.TERMS, Form.TERMS)
    unit = kernels.matrix_usable(target, real)
    for ragged in (False, True):
        options = {"ragged": ragged, "traced": False, "stored": stored}
        for save in (True, False):
            for products in (nowhere, chunks) if unit else (nowhere,):
                yield partial(kernels.forward_kernel, step, target, real, save=save, products=products, **options)
        for products in (nowhere, chunks, everywhere) if unit else (nowhere,):
            yield partial(kernels.backward_kernel, step, target, real, products=products, **options)


def stored() -> Stored:
    """The folder of the compiled kernels, which is made if it does not exist. EngineError, with the reason, where
    kernels cannot be kept."""
    try:
        folder = own_folder(cache.folder(), create=True)
        cache.check_writable(folder)
    except OSError as error:
        reason = f"{error.strerror}: '{error.filename}'" if error.strerror and error.filename else str(error)
        raise EngineError(
            f"compiled kernels cannot be kept: {reason}. TIDEGATE_CACHE can name a folder that belongs to you and that "
            "nobody else can write."
        ) from error
    sizes = [path.stat().st_size for path in folder.glob("*.o")]
    return Stored(folder, len(sizes), sum(sizes))
