"""A text prepared for training: token indices, a vocabulary, and a held-out part."""

import math
from dataclasses import dataclass

import torch

from tidegate.errors import DataError
from tidegate.text import source
from tidegate.text.progress import Progress
from tidegate.text.source import Text
from tidegate.text.split import split
from tidegate.text.token_array import TokenArray
from tidegate.text.token_files import Tokens, read_tokens
from tidegate.text.vocabulary import Vocabulary

EVALUATED = 250_000  # tokens that are evaluated of a large text, unless the held-out part is given as a number


@dataclass(frozen=True)
class Part:
    """N successive tokens of a text. The first is only an input; the N - 1 others are predicted.

    `ids` (N,) are the token indices; `ids[a:b]` is an int64 tensor. `characters` are those that the predicted tokens
    spell (bytes that are not UTF-8 text count as one each), `unknown` the tokens that are `<unk>` among all N.
    """

    ids: TokenArray | torch.Tensor
    characters: int
    unknown: int

    def __len__(self) -> int:
        return len(self.ids)

    def bpc(self, nats: float) -> float:
        """Bits per character at `nats` per predicted token: nats (N - 1) / (characters ln 2)."""
        return nats * (len(self) - 1) / (self.characters * math.log(2))


@dataclass(frozen=True)
class Dataset:
    """The two parts of a text under one vocabulary.

    `heldout` is the part that is evaluated: all held-out tokens or, where their number is given as a share of a text
    of more than 8 MiB, the first 250,000. `heldout_of` is the number of all held-out tokens.
    """

    text: Text
    vocabulary: Vocabulary
    train: Part
    heldout: Part
    heldout_of: int


def make_dataset(
    text: Text,
    *,
    preprocessing: str = "raw",
    tokens: str = "char",
    min_freq: int = 1,
    first: int | None = None,
    heldout: float = 0.1,
    vocabulary: Vocabulary | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Preprocess, tokenise, index and split a text; see `split` for `first` and `heldout`.

    The vocabulary is that of the entire text (see Vocabulary.build), or the one given, which then determines the
    kind of token. Texts of more than 8 MiB are streamed and their tokens kept in the cache: see `read_tokens`.
    """
    found = _tokens(text, preprocessing, vocabulary.kind if vocabulary else tokens, progress or Progress())
    train, tail = split(len(found.indices), heldout, first)
    sampled = heldout < 1 and text.size > source.LARGE
    evaluated = slice(tail.start, min(tail.stop, tail.start + EVALUATED)) if sampled else tail
    known = vocabulary or found.table.vocabulary(min_freq)
    parts = [_part(found, known, part) for part in (train, evaluated)]
    dataset = Dataset(text, known, *parts, heldout_of=tail.stop - tail.start)
    only = _only_token(dataset.train)
    if only is not None:
        raise DataError(
            f"the training part of {text.name} is {len(dataset.train)} times the same token "
            f"{known.tokens[only]!r}: there is nothing to learn. Use a text with at least 2 different tokens"
            f"{', or a smaller `min_freq`' if only == known.unknown else ''}."
        )
    return dataset


def make_part(
    text: Text, vocabulary: Vocabulary, *, preprocessing: str = "raw", progress: Progress | None = None
) -> Part:
    """An entire text under a model's vocabulary, to evaluate the model on it."""
    found = _tokens(text, preprocessing, vocabulary.kind, progress or Progress())
    if len(found.indices) < 2:
        raise DataError(
            f"the text {text.name} has {len(found.indices)} token: at least 2 are needed to predict one from another."
        )
    return _part(found, vocabulary, slice(0, len(found.indices)))


def _tokens(text: Text, preprocessing: str, kind: str, progress: Progress) -> Tokens:
    found = read_tokens(text, preprocessing, kind, progress)
    if not len(found.indices):
        kept = "the letters a to z" if preprocessing == "letters" else "characters that are not white space"
        only = (
            f"{preprocessing} {kind} tokens keep only {kept}"
            if preprocessing == "letters" or kind == "word"
            else ("it is only a byte order mark")
        )
        raise DataError(f"no token is left of the text {text.name}: {only}. Use another preprocessing, tokens or text.")
    return found


def _part(tokens: Tokens, vocabulary: Vocabulary, part: slice) -> Part:
    stored = tokens.indices.part(part)
    ids = TokenArray(stored.stored, tokens.table.indices(vocabulary), stored.pages)
    unknown = 0
    if vocabulary.unknown is not None and (ids.table is not None or tokens.table.counts[vocabulary.unknown]):
        unknown = sum(int((block == vocabulary.unknown).sum()) for block in ids.blocks())
    characters = tokens.table.characters(stored)
    if characters < 1:
        raise DataError(f"a part of {len(ids)} {vocabulary.kind} tokens holds no complete character: make it longer.")
    return Part(ids, characters, unknown)


def _only_token(part: Part) -> int | None:
    """The only token of the part; None where it has two different ones."""
    ids = TokenArray.of(part.ids)
    first = int(ids[:1])
    return first if all((block == first).all() for block in ids.blocks()) else None
