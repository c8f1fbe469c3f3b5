"""A text as token indices under the vocabulary of all its tokens, written in one pass over the text."""

import codecs
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, BinaryIO

import numpy as np

from tidegate.errors import ArgumentError
from tidegate.text.decoding import codec, decoded
from tidegate.text.preprocess import PREPROCESSINGS, letters
from tidegate.text.progress import Progress
from tidegate.text.source import Text
from tidegate.text.token_array import TokenArray
from tidegate.text.tokens import LINE_END, NUMBERINGS, unknown_kind
from tidegate.text.vocabulary import UNKNOWN, Vocabulary, by_count


@dataclass(frozen=True)
class Table:
    """The V distinct tokens of a text, in the order of their indices, and how often each occurs (V,).

    The order is that of Vocabulary: `<unk>` first, the others by decreasing count; bytes by value. A vocabulary
    with a `min_freq` is therefore the beginning of the table. `is_utf8` is whether byte tokens are UTF-8 text.
    """

    kind: str
    tokens: tuple[str, ...]
    counts: np.ndarray
    is_utf8: bool = True

    @property
    def count(self) -> int:
        """The number of tokens in the text."""
        return int(self.counts.sum())

    def vocabulary(self, min_freq: int) -> Vocabulary:
        """The vocabulary of the tokens that occur at least `min_freq` times, equal to that of Vocabulary.build."""
        if self.kind == "byte":
            return Vocabulary.build((), "byte")
        kept = 1 + int(np.searchsorted(-self.counts[1:], -min_freq, side="right"))
        return Vocabulary(self.kind, self.tokens[:kept])

    def indices(self, vocabulary: Vocabulary) -> np.ndarray | None:
        """The index in `vocabulary` of each token of the table (V,); None where they are the same."""
        if vocabulary.kind == "byte" or vocabulary.tokens == self.tokens:
            return None
        small = np.min_scalar_type(len(vocabulary))
        return vocabulary.encode(self.tokens).numpy().astype(small)

    @cached_property
    def lengths(self) -> np.ndarray:
        """How many characters each token spells (V,)."""
        if self.kind == "byte" and self.is_utf8:
            return np.array([not 0x80 <= byte < 0xC0 for byte in range(256)], np.int64)  # continuation bytes count 0
        return np.fromiter(map(len, self.tokens), np.int64, len(self.tokens))

    def characters(self, stored: TokenArray) -> int:
        """How many characters the tokens after the first spell, with one space between two words of a line.

        Bytes that are not UTF-8 text count as one character each.
        """
        if self.kind == "char":
            return len(stored) - 1
        total = sum(int(self.lengths[block].sum()) for block in stored.part(slice(1, None)).blocks())
        if self.kind == "word":
            inside = np.array([token != LINE_END for token in self.tokens])
            total += sum(int((inside[block[:-1]] & inside[block[1:]]).sum()) for block in stored.blocks(overlap=1))
        return total


def encode(
    text: Text, preprocessing: str, kind: str, spool: BinaryIO, progress: Progress
) -> tuple[Table, Iterator[np.ndarray]]:
    """The table of the text's tokens, and their indices in blocks (unsigned integers of the smallest type).

    Indices are in the order of the counts, which are known at the end of the text. So the text is read once, with
    provisional numbers of its tokens written to `spool` (an empty binary file), and the numbers are read back from it.
    Memory grows with the number of different tokens, not with the text.
    """
    check(preprocessing, kind)
    numbering, utf8, sizes = NUMBERINGS[kind](), Utf8(), []
    with progress.track(f"Reading {text.name}", text.size) as advance:
        for piece in _pieces(text, preprocessing, kind, advance):
            if kind == "byte":
                utf8.feed(piece)
            sizes.append(_write(spool, numbering.feed(piece)))
        sizes.append(_write(spool, numbering.finish()))
    table, indices = _ordered(kind, *numbering.found(), is_utf8=utf8.valid())
    return table, _read_back(spool, sizes, indices, progress)


def check(preprocessing: str, kind: str) -> None:
    """Raise ArgumentError unless there is such a preprocessing and such a kind of token."""
    if preprocessing not in PREPROCESSINGS:
        raise ArgumentError(f'`preprocess` must be {" or ".join(PREPROCESSINGS)}, got "{preprocessing}".')
    if kind not in NUMBERINGS:
        raise unknown_kind(kind)


def decodes(kind: str, encoding: str) -> bool:
    """Whether tokens of this kind need the text decoded: byte tokens are the bytes of the file, or of the UTF-8
    text where the file has another encoding."""
    return kind != "byte" or codec(encoding).name != "utf-8"


class Utf8:
    """Whether bytes that come in pieces are UTF-8 text."""

    def __init__(self) -> None:
        self._decoder: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder("utf-8")()

    def feed(self, piece: bytes, *, last: bool = False) -> None:
        if self._decoder is not None:
            try:
                self._decoder.decode(piece, final=last)
            except UnicodeDecodeError:
                self._decoder = None

    def valid(self) -> bool:
        """The result, to be called after the last piece."""
        self.feed(b"", last=True)
        return self._decoder is not None


def _pieces(text: Text, preprocessing: str, kind: str, advance: Callable[[int], None]) -> Iterator[Any]:
    """The preprocessed text in pieces: bytes for byte tokens, str for the others."""
    chunks = _counted(text.chunks(), advance)
    if not decodes(kind, text.encoding):
        raw = _without_bom(chunks)
        return letters(raw) if preprocessing == "letters" else raw
    pieces = decoded(chunks, text.encoding, text.name)
    if preprocessing == "letters":
        ascii = (piece.encode("ascii", "replace") for piece in pieces)
        reduced = letters(ascii, between=b" " if kind == "word" else b"")
        return reduced if kind == "byte" else (piece.decode("ascii") for piece in reduced)
    return (piece.encode() for piece in pieces) if kind == "byte" else pieces


def _counted(chunks: Iterable[bytes], advance: Callable[[int], None]) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk
        advance(len(chunk))


def _without_bom(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes without the UTF-8 byte order mark at their start."""
    head = b""
    chunks = iter(chunks)
    while len(head) < len(codecs.BOM_UTF8) and (chunk := next(chunks, b"")):
        head += chunk
    yield head.removeprefix(codecs.BOM_UTF8)
    yield from chunks


def _write(spool: BinaryIO, numbers: np.ndarray) -> tuple[int, np.dtype]:
    """Write the numbers in their smallest type; returns their count and the type."""
    small = np.min_scalar_type(int(numbers.max(initial=0)))
    spool.write(numbers.astype(small).data)
    return len(numbers), small


def _ordered(
    kind: str, tokens: list[str], numbers: np.ndarray, counts: np.ndarray, *, is_utf8: bool
) -> tuple[Table, np.ndarray]:
    """The table, and the index in it of every provisional number."""
    if kind == "byte":
        return Table(kind, tuple(tokens), counts, is_utf8), np.arange(256, dtype=np.uint8)
    order = by_count(tokens, counts)
    unknown = tokens.index(UNKNOWN) if UNKNOWN in tokens else None
    order = order if unknown is None else order[order != unknown]
    table = Table(
        kind,
        (UNKNOWN, *(tokens[k] for k in order)),
        np.concatenate(([0 if unknown is None else counts[unknown]], counts[order])),
    )
    indices = np.zeros(numbers.max(initial=-1) + 1, np.min_scalar_type(len(order)))
    indices[numbers[order]] = np.arange(1, len(order) + 1)
    return table, indices


def _read_back(
    spool: BinaryIO, sizes: Iterable[tuple[int, np.dtype]], indices: np.ndarray, progress: Progress
) -> Iterator[np.ndarray]:
    """The provisional numbers in the spool as indices."""
    total = spool.tell()
    spool.seek(0)
    with progress.track("Numbering the tokens", total) as advance:
        for count, dtype in sizes:
            raw = spool.read(count * dtype.itemsize)
            yield indices[np.frombuffer(raw, dtype)]
            advance(len(raw))
