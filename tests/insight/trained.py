"""A small trained run on a made text, and an effort that takes no time."""

import random
from pathlib import Path

import torch
from rich.console import Console

import tidegate
from tidegate.insight.effort import Effort
from tidegate.text import Vocabulary
from tidegate.train import job
from tidegate.train.recipe import Recipe

TINY = Effort(
    scored=2000, sequences=3, steps=80, lag=20, anchors=6, exponents=3, warmup=10, jacobians=1, product=8, context=8,
    targets=64, positions=1500, donors=30, candidates=1, controls=3, held=400, pairs=0, passage=60, connected=12,
)  # fmt: skip


def made_text(size: int = 12_000) -> str:
    """Sentences with quotations, numbers and brackets."""
    words = "the cat sat on a mat and saw 12 rats (or 7) while one dog slept".split()  # noqa: SIM905
    generator = random.Random(0)
    parts: list[str] = []
    while sum(map(len, parts)) < size:
        sentence = " ".join(generator.choice(words) for _ in range(generator.randint(4, 9)))
        parts.append(f'"{sentence}," he said.\n' if generator.random() < 0.4 else f"{sentence.capitalize()}.\n")
    return "".join(parts)


def train_run(folder: Path, cell: str = "gru", **fields: object) -> Path:
    """The folder of a finished run of that cell, with the text beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    text = folder / "text.txt"
    text.write_text(made_text())
    recipe = Recipe(**{
        "cell": cell, "hidden": 12, "batch": 8, "steps": 20, "epochs": 2, "device": "cpu", "heldout": 0.2, **fields,
    })  # fmt: skip
    return job.start(recipe, str(text), folder / "run", console=Console(quiet=True)).folder


def save_run(folder: Path, cell: str = "gru", layers: int = 1) -> Path:
    """The folder of a model that was not trained, with the text beside it."""
    (folder / "text.txt").write_text(made_text(6000))
    vocabulary = Vocabulary.build(made_text())
    torch.manual_seed(0)
    model = tidegate.LanguageModel(cell, len(vocabulary), 6, layers=layers)
    tidegate.save(folder / "run", model, vocabulary)
    return folder / "run"
