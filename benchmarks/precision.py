"""Matrix products of bfloat16 numbers: our layers at the precision "medium" and in bfloat16, against our float32 and
torch.nn's layers in float32 and bfloat16.

All variants take turns in one process; a figure is the median over the rounds of the ratio of two times. Errors are
relative L2 errors of outputs and gradients against the same layer in float64.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

import tidegate
from benchmarks import textbook
from benchmarks.layers import KINDS
from benchmarks.layers import step as layer_step
from benchmarks.textbook import CELL_OF, B, H, T, V, training_step
from benchmarks.training import our_loop

R = TypeVar("R")

#: B, H, T of the layers, D = H, where products take most of the time, and one small and one single sequence.
POINTS = {"short": [(32, 256, 35), (32, 512, 35), (128, 256, 35)]}
POINTS["medium"] = [*POINTS["short"], (32, 256, 128), (32, 128, 35), (1, 256, 128)]
POINTS["full"] = [*POINTS["medium"], (128, 512, 35), (32, 512, 128)]
SECONDS = {"short": 1.5, "medium": 1.5, "full": 4.0}

#: (name, our time is that of, their time is that of)
RATIOS = (
    ("medium against our float32", "medium", "float32"),
    ("medium against torch.nn in float32", "medium", "torch.nn"),
    ("bfloat16 against torch.nn in bfloat16", "bfloat16", "torch.nn bfloat16"),
)


@contextmanager
def precision(level: str) -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(level)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def at(level: str, function: Callable[[], R]) -> R:
    with precision(level):
        return function()


def rounds(functions: Mapping[str, Callable[[], object]], seconds: float) -> dict[str, list[float]]:
    """Times in milliseconds of every function, in rounds in which each runs once."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for function in (*functions.values(), *functions.values()):
        function()
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(times[next(iter(times))]) < 5:
        for name, function in functions.items():
            started = time.perf_counter()
            function()
            times[name].append((time.perf_counter() - started) * 1e3)
    return times


def figures(times: Mapping[str, list[float]]) -> dict[str, float]:
    """Median times, and the ratios whose variants there are."""
    found = {name: statistics.median(column) for name, column in times.items()}
    for title, ours, theirs in RATIOS:
        if theirs in times:
            found[title] = statistics.median(b / a for a, b in zip(times[ours], times[theirs]))
    return found


def errors(layer: nn.Module, run: Callable[[], Tensor], x: Tensor, dy: Tensor) -> tuple[float, float]:
    """The relative L2 error of the outputs of a pass, and the largest of the gradients of the parameters."""
    exact = deepcopy(layer).double()
    outputs = [(run(), layer), (layer_step(exact, x.double(), dy.double(), backward=True)(), exact)]
    (y, *got), (e, *expected) = ([y.double(), *(p.grad.double() for p in m.parameters())] for y, m in outputs)  # type: ignore[union-attr]
    return float((y - e).norm() / e.norm()), max(float((a - b).norm() / b.norm()) for a, b in zip(got, expected))


def layer(kind: str, point: tuple[int, int, int], seconds: float) -> dict:
    """All variants of a layer, forward and backward."""
    B, H, T = point
    ours_type, theirs_type = KINDS[kind]
    torch.manual_seed(0)
    theirs = theirs_type(H, H)
    ours = ours_type(H, H, engine="cpu")
    ours.load_state_dict(theirs.state_dict())
    x, dy = torch.randn(T, B, H), torch.randn(T, B, H)
    half = x.bfloat16(), dy.bfloat16()
    variants: dict[str, Callable[[], Tensor]] = {
        "float32": layer_step(ours, x, dy, backward=True),
        "medium": partial(at, "medium", layer_step(ours, x, dy, backward=True)),
        "torch.nn": layer_step(theirs, x, dy, backward=True),
        "bfloat16": layer_step(deepcopy(ours).bfloat16(), *half, backward=True),
        "torch.nn bfloat16": layer_step(deepcopy(theirs).bfloat16(), *half, backward=True),
    }
    of_outputs, of_gradients = errors(ours, variants["medium"], x, dy)
    assert of_outputs < 0.01, f"{kind} {point}: the outputs at medium are wrong by {of_outputs}"
    assert of_gradients < 0.02, f"{kind} {point}: the gradients at medium are wrong by {of_gradients}"
    found = figures(rounds(variants, seconds))
    return {"kind": kind, "B, H, T": point, "error of y": of_outputs, "error of gradients": of_gradients, **found}


def textbook_step(kind: str, seconds: float) -> dict:
    """The textbook's training step."""
    theirs = getattr(nn, kind)(V, H)
    variants: dict[str, Callable[[], Tensor]] = {
        "float32": training_step(textbook.copy_of(theirs), one_hot=False, torchs=False),
        "medium": partial(at, "medium", training_step(textbook.copy_of(theirs), one_hot=False, torchs=False)),
        "torch.nn": training_step(theirs, one_hot=True, torchs=True),
    }
    return {"kind": kind, "step": "textbook", **figures(rounds(variants, seconds))}


def step_of_our_loop(kind: str, seconds: float) -> dict:
    """The textbook's training step in the loop of `tidegate train`."""
    theirs = getattr(nn, kind)
    cell = CELL_OF[theirs]
    with our_loop(cell, B, T, H) as exact, our_loop(cell, B, T, H) as medium:
        variants: dict[str, Callable[[], object]] = {
            "float32": exact,
            "medium": partial(at, "medium", medium),
            "torch.nn": training_step(theirs(V, H), one_hot=True, torchs=True),
        }
        return {"kind": kind, "step": "textbook in `tidegate train`", **figures(rounds(variants, seconds))}


def run(*, grid: str) -> list[dict]:
    """The textbook's step and every point, with one thread and with all."""
    found, threads = [], torch.get_num_threads()
    print(summary())
    for count in sorted({1, threads}):
        torch.set_num_threads(count)
        try:
            steps = textbook_step, step_of_our_loop
            jobs = [partial(step, kind, 2 * SECONDS[grid]) for step in steps for kind in KINDS]
            jobs += [partial(layer, kind, point, SECONDS[grid]) for kind in KINDS for point in POINTS[grid]]
            for job in jobs:
                one = {"threads": count, **job()}
                print(*(f"{k} {v:.3g} " if isinstance(v, float) else f"{k} {v} " for k, v in one.items()), flush=True)
                found.append(one)
        finally:
            torch.set_num_threads(threads)
    return found


def summary() -> str:
    """Which kernels run at the precision medium here."""
    with precision("medium"):
        return f"medium: {tidegate.why(tidegate.GRU(4, 4), torch.zeros(2, 2, 4)).summary}"
