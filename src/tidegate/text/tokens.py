"""From text to tokens: characters, bytes or words."""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from itertools import count
from typing import Any

import numpy as np

from tidegate.errors import ArgumentError, DataError

KINDS = ("char", "byte", "word")
LINE_END = "\n"
LONGEST_WORD = 1 << 20  # characters
DISTINCT_WORDS = 5_000_000  # the most that a text may have
_LINE_END = "\0"  # stands for the line feed while a text is split at white space: no text contains NUL
_CODE_POINTS = 0x110000


def tokenize(text: str, kind: str) -> Sequence[str]:
    """The tokens of `text`; `kind` is "char", "byte" or "word".

    "char": Unicode code points. "byte": the bytes of the UTF-8 text, each written as the character with that code
    point (0 to 255). "word": runs of characters that are not white space, and one token for each line feed (the `<eos>`
    of Penn Treebank models).
    """
    if kind == "char":
        return text
    if kind == "byte":
        # Python decodes bytes of a command line that are not UTF-8 as surrogates; this restores the bytes
        return text.encode(errors="surrogateescape").decode("latin-1")
    if kind == "word":
        found: list[str] = []
        for k, line in enumerate(text.split(LINE_END)):
            found += [LINE_END] * (k > 0) + line.split()
        return found
    raise unknown_kind(kind)


def unknown_kind(kind: str) -> ArgumentError:
    """The error for a kind of token that does not exist."""
    return ArgumentError(f'`tokens` must be {", ".join(KINDS)}, got "{kind}".')


class Numbering(ABC):
    """Provisional numbers for the tokens of a text that comes in pieces, and how often each number occurs."""

    @abstractmethod
    def feed(self, piece: Any) -> np.ndarray:
        """The numbers (N,), unsigned, of the tokens that this piece (bytes or str) completes."""

    def finish(self) -> np.ndarray:
        """The numbers of the tokens that the end of the text completes."""
        return np.zeros(0, np.uint8)

    @abstractmethod
    def found(self) -> tuple[list[str], np.ndarray, np.ndarray]:
        """The K distinct tokens, their numbers (K,) in ascending order, and their counts (K,)."""


class Characters(Numbering):
    """The number of a character is its code point."""

    def __init__(self) -> None:
        self.counts = np.zeros(_CODE_POINTS, np.int64)

    def feed(self, piece: str) -> np.ndarray:
        if piece.isascii():
            numbers = np.frombuffer(piece.encode("ascii"), np.uint8)
        else:
            numbers = np.frombuffer(piece.encode("utf-32-le", "surrogatepass"), "<u4")
        _add(self.counts, numbers)
        return numbers

    def found(self) -> tuple[list[str], np.ndarray, np.ndarray]:
        numbers = np.flatnonzero(self.counts)
        return [chr(number) for number in numbers], numbers, self.counts[numbers]


class Bytes(Numbering):
    """The number of a byte is its value."""

    def __init__(self) -> None:
        self.counts = np.zeros(256, np.int64)

    def feed(self, piece: bytes) -> np.ndarray:
        numbers = np.frombuffer(piece, np.uint8)
        _add(self.counts, numbers)
        return numbers

    def found(self) -> tuple[list[str], np.ndarray, np.ndarray]:
        return [chr(number) for number in range(256)], np.arange(256), self.counts


class Words(Numbering):
    """Words are numbered in the order of first occurrence. The line feed is 0.

    Raises DataError for a text with more than LONGEST_WORD characters in one word or DISTINCT_WORDS different words.
    """

    def __init__(self) -> None:
        self.numbers: defaultdict[str, int] = defaultdict(count().__next__)
        self.line_end = self.numbers[_LINE_END]
        self.counts = np.zeros(1, np.int64)
        self.rest = ""  # the beginning of a word that continues in the next piece

    def feed(self, piece: str) -> np.ndarray:
        text = self.rest + piece
        self.rest = "" if text[-1:].isspace() else "".join(text.rsplit(maxsplit=1)[-1:])
        if len(self.rest) > LONGEST_WORD:
            raise DataError(
                f"the text has more than {LONGEST_WORD:,} characters without white space, which would be one word. "
                "Use --tokens char or --tokens byte."
            )
        return self._number(text[: len(text) - len(self.rest)])

    def finish(self) -> np.ndarray:
        rest, self.rest = self.rest, ""
        return self._number(rest)

    def _number(self, text: str) -> np.ndarray:
        words = text.replace(LINE_END, f" {_LINE_END} ").split()
        numbers = np.fromiter(map(self.numbers.__getitem__, words), np.uint32, len(words))
        if len(self.numbers) > DISTINCT_WORDS:
            raise DataError(
                f"the text has more than {DISTINCT_WORDS:,} different words: too many for a vocabulary. Use --tokens "
                "char or --tokens byte."
            )
        if len(self.counts) < len(self.numbers):
            self.counts = np.pad(self.counts, (0, 2 * len(self.numbers) - len(self.counts)))
        np.add.at(self.counts, numbers, 1)
        return numbers

    def found(self) -> tuple[list[str], np.ndarray, np.ndarray]:
        tokens = [LINE_END, *list(self.numbers)[1:]]
        counts = self.counts[: len(tokens)]
        first = 0 if counts[0] else 1
        return tokens[first:], np.arange(first, len(tokens)), counts[first:]


NUMBERINGS: dict[str, type[Numbering]] = {"char": Characters, "byte": Bytes, "word": Words}


def _add(counts: np.ndarray, numbers: np.ndarray) -> None:
    """Count `numbers` into `counts`."""
    if len(numbers):
        new = np.bincount(numbers)
        counts[: len(new)] += new
