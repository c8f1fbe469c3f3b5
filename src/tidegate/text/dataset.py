"""A text made ready for training: numbers, a vocabulary, and a held-out tail."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tidegate.errors import DataError
from tidegate.text.corpora import Text
from tidegate.text.preprocess import preprocess
from tidegate.text.split import split
from tidegate.text.tokens import character_count, tokenize
from tidegate.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class Part:
    """A run of tokens. Its first one is only read; the N - 1 others are predicted.

    `ids` (N,) int64; `characters` that the predicted tokens spell; `unknown` tokens among all N.
    """

    ids: torch.Tensor
    characters: int
    unknown: int

    def __len__(self) -> int:
        return len(self.ids)

    def bpc(self, nats: float) -> float:
        """Bits per character at `nats` per predicted token: nats (N - 1) / (characters ln 2)."""
        return nats * (len(self) - 1) / (self.characters * math.log(2))


@dataclass(frozen=True)
class Dataset:
    """The two parts of a text under one vocabulary."""

    text: Text
    vocabulary: Vocabulary
    train: Part
    heldout: Part


def make_dataset(
    text: Text,
    *,
    preprocessing: str = "raw",
    tokens: str = "char",
    min_freq: int = 1,
    first: int | None = None,
    heldout: float = 0.1,
    vocabulary: Vocabulary | None = None,
) -> Dataset:
    """Preprocess, tokenize, number and split a text; see `split` for `first` and `heldout`.

    The vocabulary is that of the whole text (see Vocabulary.build), or the one given, which then fixes the
    tokens too.
    """
    found = _tokens(text.text, preprocessing, vocabulary.kind if vocabulary else tokens)
    train, tail = split(len(found), heldout, first)
    known = vocabulary or Vocabulary.build(found, tokens, min_freq=min_freq)
    dataset = Dataset(text, known, _part(found[train], known), _part(found[tail], known))
    seen = dataset.train.ids.unique().tolist()
    if len(seen) < 2:
        raise DataError(
            f"the training part of {text.name} is {len(dataset.train)} times the same token "
            f"{known.tokens[seen[0]]!r}: there is nothing to learn. Use a text with at least 2 different tokens"
            f"{', or a smaller `min_freq`' if seen[0] == known.unknown else ''}."
        )
    return dataset


def make_part(text: Text, vocabulary: Vocabulary, *, preprocessing: str = "raw") -> Part:
    """A whole text under a model's vocabulary, to evaluate the model on it."""
    found = _tokens(text.text, preprocessing, vocabulary.kind)
    if len(found) < 2:
        raise DataError(
            f"the text {text.name} has {len(found)} token: at least 2 are needed to predict one from another."
        )
    return _part(found, vocabulary)


def _tokens(text: str, preprocessing: str, kind: str) -> Sequence[str]:
    found = tokenize(preprocess(text, preprocessing), kind)
    if not found:
        kept = "the letters a to z" if preprocessing == "letters" else "what is not space"
        raise DataError(
            f"no token is left of the text: {preprocessing} {kind} tokens keep only {kept}. "
            "Use another preprocessing, tokens or text."
        )
    return found


def _part(tokens: Sequence[str], vocabulary: Vocabulary) -> Part:
    ids = vocabulary.encode(tokens)
    unknown = 0 if vocabulary.unknown is None else int((ids == vocabulary.unknown).sum())
    characters = character_count(tokens, vocabulary.kind) - character_count(tokens[:1], vocabulary.kind)
    if characters < 1:
        raise DataError(f"a part of {len(tokens)} {vocabulary.kind} tokens holds no whole character: make it longer.")
    return Part(ids, characters, unknown)
