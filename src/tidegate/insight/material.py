"""The texts that a run is inspected on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tidegate.errors import ArgumentError, CheckpointError, DataError, ShapeError
from tidegate.text import Part, Progress, TokenArray, load_text, make_part
from tidegate.text.ngram import COUNTED
from tidegate.train.evaluate import STREAM, STREAMS
from tidegate.train.evaluate_run import evaluated, training_text
from tidegate.train.load import Trained

SHORTEST = 64  # tokens
LONGEST = 200_000  # tokens of each text that are used


@dataclass(frozen=True)
class Material:
    """name: the name of the text.   ids (N,): its tokens, at most 200,000; `unknown` of them are `<unk>`.
    bits: bits per character for one nat per token.
    find: the tokens on which units are found, the end of the training text or the first half of `ids`; confirm: other
    tokens, on which they are confirmed.   train: the whole training text, or None, and then `missing` is the reason.
    seen: whether the model was trained on the text.
    """

    name: str
    ids: Tensor
    unknown: int
    bits: float
    find: Tensor
    confirm: Tensor
    train: TokenArray | Tensor | None
    missing: str | None
    seen: bool = False


def own_material(trained: Trained, path: Path, progress: Progress | None) -> Material:
    """The held-out text of the run; units are found on the end of its training text."""
    dataset = training_text(trained, path, progress)
    ids = first(dataset.heldout)
    name = f"{evaluated(dataset)} of {dataset.text.name}"
    check_length(ids, name)
    train = TokenArray.of(dataset.train.ids)
    find = train[max(0, len(train) - LONGEST) :]
    return Material(name, ids, unknown(trained, ids), dataset.heldout.bpc(1.0), find, ids, train, None)


def other_material(
    trained: Trained, path: Path, source: str, encoding: str | None, progress: Progress | None
) -> Material:
    """Another text; units are found on its first half and confirmed on its second."""
    encoding = encoding or (trained.recipe.encoding if trained.recipe else "utf-8")
    text = load_text(source, encoding=encoding, progress=progress)
    if trained.facts.text is not None and text.sha256 == trained.facts.text["sha256"]:
        return own_material(trained, path, progress)
    part = make_part(text, trained.vocabulary, preprocessing=trained.facts.preprocess, progress=progress)
    ids = first(part)
    check_length(ids, text.name)
    count = unknown(trained, ids)
    if 2 * count > len(ids):
        raise DataError(
            f"{count:,} of the {len(ids):,} tokens of {text.name} are not in the model's vocabulary of "
            f"{len(trained.vocabulary)}, more than half of them. Use a text in the language and script that the model "
            "was trained on."
        )
    train, missing = None, None
    try:
        train = TokenArray.of(training_text(trained, path, progress).train.ids)
    except (DataError, CheckpointError) as error:
        missing = str(error)
    seen = train is not None and share_inside(ids, train) > 0.5
    if seen:
        train, missing = None, "the text is part of the training text, on which n-grams would be counted"
    half = len(ids) // 2
    return Material(text.name, ids, count, part.bpc(1.0), ids[:half], ids[half:], train, missing, seen)


def share_inside(ids: Tensor, train: TokenArray | Tensor) -> float:
    """The share of 20 passages of 50 tokens of a text that occur in the last 8,000,000 tokens of the training text."""
    width = 50
    known = train[max(0, len(train) - COUNTED) :].numpy().astype("<u4").tobytes()
    starts = np.linspace(0, max(0, len(ids) - width), 20).astype(np.int64)
    return float(np.mean([known.find(ids[a : a + width].numpy().astype("<u4").tobytes()) >= 0 for a in starts]))


def first(part: Part) -> Tensor:
    return torch.as_tensor(part.ids[:LONGEST])


def unknown(trained: Trained, ids: Tensor) -> int:
    """How many tokens are not in the vocabulary."""
    index = trained.vocabulary.unknown
    return 0 if index is None else int((ids == index).sum())


def check_length(ids: Tensor, name: str) -> None:
    if len(ids) < SHORTEST:
        raise ShapeError(
            f"the text {name} has {len(ids)} tokens: at least {SHORTEST} are needed to inspect a model. Use a longer "
            "text."
        )


def rows(ids: Tensor, count: int, steps: int) -> Tensor:
    """Up to `count` passages of up to `steps` tokens, evenly spread over the text: (T, B)."""
    T = min(steps, len(ids))
    B = max(1, min(count, len(ids) // T))
    starts = np.linspace(0, len(ids) - T, B).astype(np.int64)
    return ids[torch.from_numpy(starts)[None, :] + torch.arange(T)[:, None]]


def streams(ids: Tensor, most: int) -> Tensor:
    """About `most` tokens of a text, or all if it has fewer, in up to 32 streams, evenly spread over it: (T, B).

    A stream has 2,000 tokens or more, as in `tidegate eval`; of a small sample 500, so that more places are read.
    """
    used = min(len(ids), most)
    B = max(1, min(STREAMS, max(used // STREAM, min(16, used // 500))))
    return rows(ids, B, used // B)


def span(ids: Tensor, wanted: tuple[int, int] | None, length: int) -> tuple[int, Tensor]:
    """The start and the tokens of the passage that is shown: those `wanted`, or the first `length`."""
    start, stop = wanted if wanted is not None else (0, min(length, len(ids)))
    if not 0 <= start < stop <= len(ids) or stop - start < 3 or stop - start > 5000:
        raise ArgumentError(
            f"`span` must be START:STOP with 3 to 5,000 tokens of the text, 0 <= START < STOP <= {len(ids)}, got "
            f"{start}:{stop}."
        )
    return start, ids[start:stop]
