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
    """Yield the prompt and `length` tokens after it, each piece of text as soon as it is drawn.

    Without a prompt, the first input of the model is the token `line_start`, which is not part of the output. Raises
    DataError, with the nearest choices, for a prompt outside the model's vocabulary.
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
    """The token before the start of a line: a line end if the vocabulary has one, else a space, else token 1."""
    for token in ("\n", " "):
        if token in vocabulary.tokens:
            return vocabulary.encode([token])
    return torch.tensor([1])
