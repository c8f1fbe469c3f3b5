"""From lines to tokens: characters, bytes or words."""

from collections.abc import Sequence
from itertools import pairwise

from tidegate.errors import ArgumentError

LINE_END = "\n"


def characters(lines: Sequence[str]) -> str:
    """One token per character (Unicode code point)."""
    return "".join(lines)


def utf8_bytes(lines: Sequence[str]) -> str:
    """One token per byte of the UTF-8 text, written as the character with that byte's number (0 to 255)."""
    # a byte of a command line that is not UTF-8 comes as a surrogate, and goes back to that byte
    return "".join(lines).encode(errors="surrogateescape").decode("latin-1")


def words(lines: Sequence[str]) -> list[str]:
    """One token per run of non-spaces, and one per line feed (the `<eos>` of Penn Treebank models)."""
    found: list[str] = []
    for line in lines:
        found += line.split()
        if line.endswith(LINE_END):
            found.append(LINE_END)
    return found


TOKENIZERS = {"char": characters, "byte": utf8_bytes, "word": words}


def tokenize(lines: Sequence[str], kind: str) -> Sequence[str]:
    """The tokens of `lines`; `kind` is "char", "byte" or "word"."""
    if kind not in TOKENIZERS:
        raise ArgumentError(f'`tokens` must be {", ".join(TOKENIZERS)}, got "{kind}".')
    return TOKENIZERS[kind](lines)


def character_count(tokens: Sequence[str], kind: str) -> int:
    """How many characters the tokens spell, with one space between two words of a line."""
    if kind == "byte":
        return sum(not 0x80 <= ord(byte) < 0xC0 for byte in tokens)  # a continuation byte begins no character
    if kind == "word":
        spaces = sum(LINE_END not in pair for pair in pairwise(tokens))
        return sum(map(len, tokens)) + spaces
    return len(tokens)
