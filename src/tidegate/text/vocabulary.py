"""The tokens of a model, and their indices."""

import codecs
import difflib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from tidegate.errors import ArgumentError, DataError
from tidegate.text.tokens import KINDS, LINE_END, unknown_kind

UNKNOWN = "<unk>"


def by_count(tokens: Sequence[str], counts: np.ndarray) -> np.ndarray:
    """The positions of `tokens` in the order of decreasing count, then of code points."""
    alphabetical = np.array(sorted(range(len(tokens)), key=tokens.__getitem__), np.int64)
    return alphabetical[np.argsort(-counts[alphabetical], kind="stable")]


@dataclass(frozen=True)
class Vocabulary:
    """Tokens in the order of their indices.

    Characters and words: `<unk>` has index 0 and represents every token that is not in the vocabulary; the others
    follow by decreasing count, then by code points. It is included even if the text has no unknown token, as in the
    textbook: the letters of The Time Machine make 28 = 26 + the space + `<unk>`. Bytes: all 256, the index is the
    byte, and no byte is unknown.
    """

    kind: str
    tokens: tuple[str, ...]

    @classmethod
    def build(cls, tokens: Sequence[str], kind: str = "char", *, min_freq: int = 1) -> "Vocabulary":
        """The vocabulary of the tokens that occur at least `min_freq` times.

        `tokens` should be those of the entire text, held-out part included, as in the textbook and in nanoGPT: a
        vocabulary of the training part alone would merge all tokens that occur only in the held-out part into one
        `<unk>`, which is easy to predict.
        """
        if kind not in KINDS:
            raise unknown_kind(kind)
        if min_freq < 1:
            raise ArgumentError(f"`min_freq` must be at least 1, got {min_freq}.")
        if kind == "byte":
            return cls(kind, tuple(map(chr, range(256))))
        counts = Counter(tokens)
        del counts[UNKNOWN]  # a text that already marks its rare words, as the Penn Treebank does
        kept = [token for token, count in counts.items() if count >= min_freq]
        order = by_count(kept, np.array([counts[token] for token in kept], np.int64))
        return cls(kind, (UNKNOWN, *(kept[k] for k in order)))

    def __len__(self) -> int:
        return len(self.tokens)

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} {self.kind} tokens)"

    @property
    def unknown(self) -> int | None:
        """The index of `<unk>`; None for bytes. Do not sample it: at `min_freq` 1 it is never trained."""
        return None if self.kind == "byte" else 0

    def encode(self, tokens: Iterable[str]) -> torch.Tensor:
        """The indices (N,), int64; that of `<unk>` for a token that is not in the vocabulary."""
        indices = self._indices
        return torch.tensor([indices.get(token, 0) for token in tokens], dtype=torch.int64)

    def encode_known(self, tokens: Sequence[str]) -> torch.Tensor:
        """The indices (N,), int64. Raises DataError, with the nearest tokens, for a token not in the vocabulary."""
        for position, token in enumerate(tokens):
            if token not in self._indices:
                near = ", ".join(map(repr, self.nearest(token)))
                raise DataError(
                    f"the {_NAMES[self.kind]} {token!r} (number {position + 1} of the prompt) is not in the "
                    f"model's vocabulary of {len(self)}.{f' Nearest: {near}.' if near else ''} "
                    "Change it, or train on a text that contains it."
                )
        return self.encode(tokens)

    def decode(self, indices: Iterable[int] | torch.Tensor) -> str:
        """The text of the indices: a space between two words of a line, U+FFFD for bytes that are not UTF-8."""
        return "".join(self.stream(indices.tolist() if isinstance(indices, torch.Tensor) else indices))

    def stream(self, indices: Iterable[int]) -> Iterator[str]:
        """The text of the indices in pieces: after each index the characters that it completes."""
        tokens = (self.tokens[index] for index in indices)
        if self.kind == "byte":
            decoder = codecs.getincrementaldecoder("utf-8")("replace")
            for token in tokens:
                yield decoder.decode(token.encode("latin-1"))
            yield decoder.decode(b"", final=True)
        elif self.kind == "word":
            gap = ""
            for token in tokens:
                yield token if token == LINE_END else gap + token
                gap = "" if token == LINE_END else " "
        else:
            yield from tokens

    def nearest(self, token: str, count: int = 3) -> list[str]:
        """Up to `count` tokens of the vocabulary that are most similar to one that is not in it.

        Characters: the other case, the letter without its accents, the compatible form (a straight quote for a
        curly one), then characters of the same Unicode category (letter, digit, punctuation), frequent ones first.
        Words: by their spelling.
        """
        if self.kind == "word":
            return difflib.get_close_matches(token, self.tokens[1:], n=count, cutoff=0.5)
        if self.kind == "byte" or not token:
            return []
        plain = unicodedata.normalize("NFKD", token)[0]
        wanted = [token.swapcase(), plain, plain.swapcase(), _PLAIN_MARKS.get(token, plain)]
        alike = [
            known for known in self.tokens[1:] if unicodedata.category(known)[0] == unicodedata.category(token[0])[0]
        ]
        return list(dict.fromkeys(known for known in (*wanted, *alike) if known in self._indices))[:count]

    def to_json(self) -> dict:
        """Plain data for a checkpoint."""
        return {"kind": self.kind, "tokens": None if self.kind == "byte" else list(self.tokens)}

    @classmethod
    def from_json(cls, data: dict) -> "Vocabulary":
        """The vocabulary that `to_json` wrote. Raises DataError for other data."""
        match data:
            case {"kind": "byte", "tokens": None}:
                return cls.build((), "byte")
            case {"kind": "char" | "word" as kind, "tokens": [first, *others]} if (
                first == UNKNOWN
                and all(isinstance(token, str) for token in others)
                and len({UNKNOWN, *others}) == len(others) + 1
            ):
                return cls(kind, (first, *others))
        raise DataError(
            f"a vocabulary must be {{kind: char | word, tokens: [{UNKNOWN}, ...]}} without repeats, or "
            "{kind: byte, tokens: null}; this is neither. The file is damaged: restore it or train again."
        )

    @cached_property
    def _indices(self) -> dict[str, int]:
        return {token: index for index, token in enumerate(self.tokens)}


_NAMES = {"char": "character", "byte": "byte", "word": "word"}
_PLAIN_MARKS = {
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
    "–": "-",
    "—": "-",
    "«": '"',
    "»": '"',
    "\t": " ",
    "\u00a0": " ",
}
