"""The share of a training step that is spent outside the kernels of the recurrent layer."""

import ctypes
import random
import string
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from rich.console import Console

from benchmarks.pairs import clock
from tidegate.calculus import trace
from tidegate.cells import CELLS
from tidegate.engines.cpu.chain import FAILED, Chain
from tidegate.engines.cpu.chain_abi import HEAD
from tidegate.engines.cpu.kernels import Kernel
from tidegate.engines.cpu.repeated import Filled, Memory
from tidegate.text import Text, make_dataset
from tidegate.train.facts import ModelFacts
from tidegate.train.log import Log
from tidegate.train.loop import Trainer
from tidegate.train.recipe import Recipe
from tidegate.train.status import Status

BARRIERS, BARRIER_WORDS = HEAD.index("barriers"), HEAD.index("barrier_words")
LETTERS = string.ascii_lowercase + " "  # 28 tokens with the one for unknown characters


def outside(step: Callable[[], object], count: int = 200) -> float:
    """The fraction of a step outside those kernels: medians of `count` steps, after 20 that are not counted.

    In turn, a step is made as it is; its kernels are timed, with a chain as one of them; and, to be subtracted, the
    kernels of its chain that are not those of the layer are timed, in calls of their own.
    """
    for _ in range(20):
        step()
    steps, kernels, others = [], [], []
    for _ in range(count):
        steps.append(clock(step))
        kernels.append(Times(apart=False).of(step))
        others.append(Times(apart=True).of(step))
    return 1 - (median(kernels) - median(others)) / median(steps)


class Times:
    """The seconds of a step in the kernels of the layer, a chain counted as a whole; or `apart`, in the other kernels
    of its chain."""

    def __init__(self, *, apart: bool) -> None:
        self.apart, self.seconds = apart, 0.0

    def of(self, step: Callable[[], object]) -> float:
        call, run, start, times = Kernel.__call__, Chain.run, Filled.start, self

        def timed_call(self: Kernel, arguments: ctypes.Array, threads: int) -> None:
            seconds = clock(lambda: call(self, arguments, threads))
            times.seconds += seconds if "w_hh" in self.arguments and not times.apart else 0.0

        def timed_start(self: Filled, memory: Memory, outputs: int = 0) -> None:
            """On one thread such calls do not go through Kernel.__call__."""
            kernel = self.kernel
            if self.plan.pace.team == 1:
                self.kernel = lambda array: self.plan.kernel(array, 1)
            try:
                start(self, memory, outputs)
            finally:
                self.kernel = kernel

        def timed_run(self: Chain) -> bool:
            started = time.perf_counter()
            found = run(self)
            times.seconds += time.perf_counter() - started
            return found

        def one_by_one(self: Chain) -> bool:
            words, threads = self.words, self.pace.threads()
            words[FAILED] = 0
            for kernel_call, array in zip(self.calls, self.arrays):
                if not words[FAILED]:
                    ctypes.memset(words[BARRIERS], 0, 8 * words[BARRIER_WORDS])
                    kernel, team = kernel_call.kernel, min(threads, kernel_call.pace.team)
                    seconds = clock(lambda: call(kernel, array, team))  # noqa: B023  called at once
                    times.seconds += 0.0 if "w_hh" in kernel.arguments else seconds
            return not words[FAILED]

        Kernel.__call__, Chain.run = timed_call, one_by_one if self.apart else timed_run
        Filled.start = timed_start
        try:
            step()
        finally:
            Kernel.__call__, Chain.run, Filled.start = call, run, start
        return self.seconds


def outside_in_our_loop(cell: str, batch: int, steps: int, hidden: int) -> float:
    """That fraction of a step of `tidegate train`."""
    with our_loop(cell, batch, steps, hidden) as step:
        return outside(step)


@contextmanager
def our_loop(cell: str, batch: int, steps: int, hidden: int) -> Iterator[Callable[[], None]]:
    """A step of `tidegate train`, with SGD and without dropout."""
    text = "".join(random.Random(0).choices(LETTERS, k=40 * batch * steps))
    recipe = Recipe(
        cell=cell, batch=batch, steps=steps, hidden=hidden, optimizer="sgd", weight_decay=0.0, dropout=0.0,
        lr=1e-3, epochs=1000, device="cpu",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            recipe,
            make_dataset(Text.of("letters", text), heldout=0.1),
            ModelFacts(cell, trace(CELLS[cell]), hidden, 1, 0.0),
            log=Log(Path(folder) / "log.jsonl"),
            status=Status(Console(quiet=True), recipe.tokens),
            save=lambda *_: None,
        )
        yield trainer.step
