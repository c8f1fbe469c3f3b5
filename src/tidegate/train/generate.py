"""Text that a run's model generates after a prompt."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import torch

from tidegate.text import Vocabulary, tokenize
from tidegate.train.load import load
from tidegate.train.sample import check, sample


def generate(
    path: Path,
    prompt: str | None,
    *,
    which: str = "best",
    length: int = 500,
    temperature: float = 0.8,
    top_k: int = 0,
    seed: int = 0,
    device: str = "auto",
    engine: str | None = None,
) -> Iterator[str]:
    """The prompt and `length` tokens after it, piece by piece as they are drawn.

    Without a prompt the text begins as after a line end, which is not shown. Raises DataError, with the nearest
    choices, for a prompt outside the model's vocabulary.
    """
    check(length, temperature, top_k, seed)
    trained = load(path, which, device=device, engine=engine)
    vocabulary = trained.vocabulary
    begin = vocabulary.encode_known(tokenize(prompt, vocabulary.kind)) if prompt else line_start(vocabulary)
    drawn = sample(
        trained.model, begin, length, temperature=temperature, top_k=top_k, never=vocabulary.unknown,
        generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip
    yield from vocabulary.stream(chain(begin.tolist() if prompt else [], drawn))


def line_start(vocabulary: Vocabulary) -> torch.Tensor:
    """The token before the beginning of a line: a line end, a space where there is none, or the most frequent token."""
    for token in ("\n", " "):
        if token in vocabulary.tokens:
            return vocabulary.encode([token])
    return torch.tensor([1])
