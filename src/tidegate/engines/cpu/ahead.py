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
#: The products of a pass that run on a matrix unit.
NOWHERE, CHUNKS, EVERYWHERE = (
    Products(recurrent, chunks)
    for recurrent, chunks in ((Form.NUMBERS, Form.NUMBERS), (Form.NUMBERS, Form.TERMS), (Form.TERMS, Form.TERMS))
)


@dataclass(frozen=True)
class Stored:
    """The folder of the compiled kernels, the number of its kernels and their bytes."""

    folder: Path
    count: int
    size: int


def every(steps: Sequence[Step], target: Target, real: str) -> list[Making]:
    """Functions that each compile a kernel of these cells, or one that all cells share: for training and for
    evaluation, with and without `lengths` and `resets`, for class indices and numbers, for a trained model's output
    layer and for single steps. Only a trace of every gate, streams with rounded weights, and bfloat16 products need
    others."""
    return [*_shared(target, real), *(making for step in steps for making in _of_cell(step, target, real))]


def _shared(target: Target, real: str) -> Iterator[Making]:
    yield partial(kernels.shared, target, real)
    yield partial(linear_loss.loss_kernel, target, real)
    yield partial(update.update_library, target, real)
    yield partial(chain_calls.chain_library, target, real)
    yield partial(stream_kernels.linear_kernel, target, real, UNROUNDED)


def _of_cell(step: Step, target: Target, real: str) -> Iterator[Making]:
    unit = kernels.matrix_usable(target, real)
    for ragged in (False, True):
        form = {"ragged": ragged, "traced": False}
        for save in (True, False):
            for products in (NOWHERE, CHUNKS) if unit else (NOWHERE,):
                yield partial(kernels.forward_kernel, step, target, real, save=save, products=products, **form)
        for products in (NOWHERE, CHUNKS, EVERYWHERE) if unit else (NOWHERE,):
            yield partial(kernels.backward_kernel, step, target, real, products=products, **form)
    for on_matrix in (False, True) if unit else (False,):
        yield partial(stream_kernels.step_kernel, step, target, real, UNROUNDED, on_matrix=on_matrix)


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
