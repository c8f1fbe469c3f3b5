"""From a text to its lines, as they are or reduced to letters."""

import re
from collections.abc import Callable

from tidegate.errors import ArgumentError


def raw(text: str) -> list[str]:
    """The lines as they are, each with its line feed: joined, they are the text."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def letters(text: str) -> list[str]:
    r"""Lines in lower case, every run of non-letters one space, none at either end, no line feeds.

    Character corpora are the lines joined with nothing between, so that "The Time\nMachine" becomes "the
    timemachine". The Time Machine has 170,580 characters then, over an alphabet of 27.

    Source: A. Zhang, Z. Lipton, M. Li, A. Smola, Dive into Deep Learning (2021), section 8.2.
    """
    return [re.sub("[^A-Za-z]+", " ", line).strip().lower() for line in text.split("\n")]


PREPROCESSORS: dict[str, Callable[[str], list[str]]] = {"raw": raw, "letters": letters}


def preprocess(text: str, how: str) -> list[str]:
    """The lines of `text` by the preprocessor named `how`: "raw" or "letters"."""
    if how not in PREPROCESSORS:
        raise ArgumentError(f'`preprocess` must be {" or ".join(PREPROCESSORS)}, got "{how}".')
    return PREPROCESSORS[how](text)
