"""The share of a training step that is spent outside the kernels of the recurrent layer."""

import random
import string
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from rich.console import Console

from tidegate.calculus import trace
from tidegate.cells import CELLS
from tidegate.engines.cpu.kernels import Kernel
from tidegate.text import Text, make_dataset
from tidegate.train.facts import ModelFacts
from tidegate.train.log import Log
from tidegate.train.loop import Trainer
from tidegate.train.recipe import Recipe
from tidegate.train.status import Status

LETTERS = string.ascii_lowercase + " "  # 28 tokens with the one for unknown characters


def outside(step: Callable[[], object], count: int = 200) -> float:
    """The fraction of a step outside those kernels: the median of `count` steps, after 20 that are not counted."""
    inside, call = 0.0, Kernel.__call__

    def timed(self: Kernel, *arguments) -> None:
        nonlocal inside
        started = time.perf_counter()
        call(self, *arguments)
        if "w_hh" in self.arguments:
            inside += time.perf_counter() - started

    for _ in range(20):
        step()
    found = []
    Kernel.__call__ = timed
    try:
        for _ in range(count):
            inside, started = 0.0, time.perf_counter()
            step()
            found.append(1 - inside / (time.perf_counter() - started))
    finally:
        Kernel.__call__ = call
    return median(found)


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
