"""The share of a training step that is spent outside the kernels of the recurrent layer."""

import ctypes
import random
import string
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from rich.console import Console

from benchmarks.pairs import clock
from tidegate.calculus import trace
from tidegate.cells import CELLS
from tidegate.engines.cpu.chain import FAILED, Chain
from tidegate.engines.cpu.chain_abi import HEAD
from tidegate.engines.cpu.kernels import Kernel
from tidegate.text import Text, make_dataset
from tidegate.train.facts import ModelFacts
from tidegate.train.log import Log
from tidegate.train.loop import Trainer
from tidegate.train.recipe import Recipe
from tidegate.train.status import Status

BARRIERS, BARRIER_WORDS = HEAD.index("barriers"), HEAD.index("barrier_words")
LETTERS = string.ascii_lowercase + " "  # 28 tokens with the one for unknown characters


def outside(step: Callable[[], object], count: int = 200) -> float:
    """The fraction of a step outside those kernels, after 20 steps that are not counted: medians of `count` steps as
    they are, and of as many between them in which every kernel is timed. In the latter the kernels of a chain are
    called one by one, which takes longer."""
    inside, call = 0.0, Kernel.__call__

    def timed(self: Kernel, arguments: ctypes.Array, threads: int) -> None:
        nonlocal inside
        started = time.perf_counter()
        call(self, arguments, threads)
        if "w_hh" in self.arguments:
            inside += time.perf_counter() - started

    for _ in range(20):
        step()
    steps, kernels, run = [], [], Chain.run
    for _ in range(count):
        steps.append(clock(step))
        inside, Kernel.__call__, Chain.run = 0.0, timed, one_by_one
        try:
            step()
        finally:
            Kernel.__call__, Chain.run = call, run
        kernels.append(inside)
    return 1 - median(kernels) / median(steps)


def one_by_one(self: Chain) -> bool:
    """As Chain.run, with a call of Python for each kernel."""
    words, threads = self.words, self.pace.threads()
    words[FAILED] = 0
    for kernel_call, array in zip(self.calls, self.arrays):
        if not words[FAILED]:
            ctypes.memset(words[BARRIERS], 0, 8 * words[BARRIER_WORDS])
            kernel_call.kernel(array, min(threads, kernel_call.pace.team))
    return not words[FAILED]


def outside_in_our_loop(cell: str, batch: int, steps: int, hidden: int) -> float:
    """That fraction of a step of `tidegate train`, with SGD and without dropout."""
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
        return outside(trainer.step)
