"""Preprocessing and tokens of a text that fits in memory, line by line: what the streamed ones must equal."""

import re
from itertools import pairwise


def lines(text: str, preprocessing: str) -> list[str]:
    if preprocessing == "raw":
        return re.findall(r"[^\n]*\n|[^\n]+", text)
    return [re.sub("[^A-Za-z]+", " ", line).strip().lower() for line in text.split("\n")]


def tokens(text: str, preprocessing: str, kind: str) -> list[str]:
    found = lines(text, preprocessing)
    if kind == "char":
        return list("".join(found))
    if kind == "byte":
        return list("".join(found).encode().decode("latin-1"))
    return [word for line in found for word in [*line.split(), *["\n"] * line.endswith("\n")]]


def characters(found: list[str], kind: str) -> int:
    """How many characters the tokens spell, with one space between two words of a line."""
    if kind == "byte":
        return sum(not 0x80 <= ord(byte) < 0xC0 for byte in found)
    spaces = sum("\n" not in pair for pair in pairwise(found)) if kind == "word" else 0
    return sum(map(len, found)) + spaces
