"""A text unchanged or reduced to letters, piece by piece."""

import string
from collections.abc import Iterable, Iterator

PREPROCESSINGS = ("raw", "letters")

_LETTERS = bytes.maketrans(string.ascii_uppercase.encode(), string.ascii_lowercase.encode())
_OTHERS = bytes(byte if chr(byte) in string.ascii_letters + "\n" else ord(" ") for byte in range(256))


def letters(pieces: Iterable[bytes], between: bytes = b"") -> Iterator[bytes]:
    r"""Lines in lower case with one space for each run of non-letters, stripped, and joined by `between`.

    `pieces` are ASCII, with any other byte where a character is not ASCII. For character corpora `between` is empty, so
    "The Time\nMachine" becomes "the timemachine". The Time Machine then has 170,580 characters over an alphabet of 27.

    Source: A. Zhang, Z. Lipton, M. Li, A. Smola, Dive into Deep Learning (2021), section 8.2.
    """
    begun, gap = False, b""  # gap: the run of non-letters before the next piece, as "", " " or "\n"
    for piece in pieces:
        known = gap + piece.translate(_OTHERS).translate(_LETTERS)
        text = known.rstrip(b" \n")
        gap = _gap(known[len(text) :])
        if not text:
            continue
        before = _gap(text[: len(text) - len(text.lstrip(b" \n"))])
        lines = [b" ".join(line.split()) for line in text.split(b"\n")]
        if begun:
            yield between if before == b"\n" else before
        begun = True
        yield between.join(filter(None, lines))


def _gap(run: bytes) -> bytes:
    """The separator that a run of spaces and line feeds reduces to: a line feed, a space or nothing."""
    return b"\n" if b"\n" in run else b" " if run else b""
