"""The tokens a model knows, and their numbers."""

import codecs
import difflib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from tidegate.errors import ArgumentError, DataError
from tidegate.text.tokens import LINE_END, TOKENIZERS

UNKNOWN = "<unk>"


@dataclass(frozen=True)
class Vocabulary:
    """Tokens in the order of their numbers.

    Characters and words: `<unk>` is number 0 and stands for every token that is not here; the others follow
    by falling count. It takes a place even where the text needs none, as in the textbook: the letters of The
    Time Machine make 28 = 26 + the space + `<unk>`. Bytes: all 256, each its own number, and nothing is
    unknown.
    """

    kind: str
    tokens: tuple[str, ...]

    @classmethod
    def build(cls, tokens: Sequence[str], kind: str = "char", *, min_freq: int = 1) -> "Vocabulary":
        """The vocabulary of the tokens that occur at least `min_freq` times.

        Meant for the tokens of the *whole* text, held-out part included, as the textbook and nanoGPT do: then
        a held-out token that training never met costs its full price, where a vocabulary of the training part
        alone would merge all such tokens into one cheap `<unk>`.
        """
        if kind not in TOKENIZERS:
            raise ArgumentError(f'`tokens` must be {", ".join(TOKENIZERS)}, got "{kind}".')
        if min_freq < 1:
            raise ArgumentError(f"`min_freq` must be at least 1, got {min_freq}.")
        if kind == "byte":
            return cls(kind, tuple(map(chr, range(256))))
        counts = Counter(tokens)
        del counts[UNKNOWN]  # a text that already marks its rare words, as the Penn Treebank does
        kept = [token for token, count in counts.items() if count >= min_freq]
        return cls(kind, (UNKNOWN, *sorted(kept, key=lambda token: (-counts[token], token))))

    def __len__(self) -> int:
        return len(self.tokens)

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} {self.kind} tokens)"

    @property
    def unknown(self) -> int | None:
        """The number of `<unk>`; None for bytes. Do not sample it: at `min_freq` 1 it is never trained."""
        return None if self.kind == "byte" else 0

    def encode(self, tokens: Iterable[str]) -> torch.Tensor:
        """Their numbers (N,), int64; of `<unk>` for a token that is not here."""
        numbers = self._numbers
        return torch.tensor([numbers.get(token, 0) for token in tokens], dtype=torch.int64)

    def encode_known(self, tokens: Sequence[str]) -> torch.Tensor:
        """Their numbers (N,), int64; a token that is not here is refused, with the nearest ones that are."""
        for position, token in enumerate(tokens):
            if token not in self._numbers:
                near = ", ".join(map(repr, self.nearest(token)))
                raise DataError(
                    f"the {_NAMES[self.kind]} {token!r} (number {position + 1} of the prompt) is not in the "
                    f"model's vocabulary of {len(self)}.{f' Nearest: {near}.' if near else ''} "
                    "Change it, or train on a text that has it."
                )
        return self.encode(tokens)

    def decode(self, numbers: Iterable[int] | torch.Tensor) -> str:
        """The text that the numbers spell: words parted by spaces, bytes that are not UTF-8 as U+FFFD."""
        return "".join(self.stream(numbers.tolist() if isinstance(numbers, torch.Tensor) else numbers))

    def stream(self, numbers: Iterable[int]) -> Iterator[str]:
        """Piece by piece the text that the numbers spell, as far as it is settled, while they come in."""
        tokens = (self.tokens[number] for number in numbers)
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
        """Up to `count` known tokens most like an unknown one.

        Characters: other case, the letter without its accents, the compatible form (a quote for a curly
        quote), then the same kind of character (letter, digit, mark), the more frequent first. Words: by
        their spelling.
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
        return list(dict.fromkeys(known for known in (*wanted, *alike) if known in self._numbers))[:count]

    def to_json(self) -> dict:
        """Plain data for a checkpoint."""
        return {"kind": self.kind, "tokens": None if self.kind == "byte" else list(self.tokens)}

    @classmethod
    def from_json(cls, data: dict) -> "Vocabulary":
        """The vocabulary that `to_json` wrote. Raises DataError where the data is no such thing."""
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
    def _numbers(self) -> dict[str, int]:
        return {token: number for number, token in enumerate(self.tokens)}


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
