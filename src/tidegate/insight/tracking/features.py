"""Features of a text: one number or truth value per character, which describes the text up to that character."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

from tidegate.errors import ArgumentError, ArgumentTypeError, ShapeError

Feature = Callable[[str], ArrayLike]

OPENING, CLOSING = "([{", ")]}"
APOSTROPHES = "'’"
EMPTY_LINE = re.compile(r"\n[ \t]*(?=\n)")
TAB = 8  # columns


def position_in_line(text: str) -> np.ndarray:
    """The number of characters of the line up to and including this one; 0 at the line feed."""
    at = np.arange(len(text))
    ends = np.fromiter((character == "\n" for character in text), bool, len(text))
    return at - np.maximum.accumulate(np.where(ends, at, -1))


def inside_quotes(text: str) -> np.ndarray:
    """Whether a double quote is open: true from the opening mark to the last character before the closing one.

    The straight mark " opens and closes in turn; “ and « open, ” and » close. An empty line closes every quote, so that
    a missing mark affects one paragraph. ' and ‘ ’ are ignored, because apostrophes look the same.
    """
    inside = np.zeros(len(text), bool)
    begin = 0
    for paragraph in [match.start() for match in EMPTY_LINE.finditer(text)] + [len(text)]:
        opened: int | None = None
        for match in re.finditer('["“”«»]', text[begin:paragraph]):
            at, mark = begin + match.start(), match.group()
            if opened is not None and mark in '"”»':
                inside[opened:at] = True
                opened = None
            elif opened is None and mark in '"“«':
                opened = at
        if opened is not None:
            inside[opened:paragraph] = True
        begin = paragraph
    return inside


def bracket_depth(text: str) -> np.ndarray:
    """The number of open brackets ( [ {, each from its opening mark to the last character before its closing one.

    A bracket without a partner is not counted. A closing bracket is the partner of the last open one of its kind; those
    opened after that one have no partner.
    """
    change = np.zeros(len(text), np.int64)
    opened: list[tuple[int, int]] = []
    for match in re.finditer(r"[()\[\]{}]", text):
        mark = match.group()
        if mark in OPENING:
            opened.append((OPENING.index(mark), match.start()))
            continue
        kind = CLOSING.index(mark)
        partner = next((k for k in reversed(range(len(opened))) if opened[k][0] == kind), None)
        if partner is not None:
            change[opened[partner][1]] += 1
            change[match.start()] -= 1
            del opened[partner:]
    return np.cumsum(change)


def word_start(text: str) -> np.ndarray:
    """Whether the character begins a word. A word is a run of letters and digits; an apostrophe between two of them is
    part of it."""
    found = np.zeros(len(text), bool)
    for match in re.finditer(rf"[^\W_]+(?:[{APOSTROPHES}][^\W_]+)*", text):
        found[match.start()] = True
    return found


def digit(text: str) -> np.ndarray:
    """Whether the character is a decimal digit."""
    return np.fromiter(map(str.isdecimal, text), bool, len(text))


def capital(text: str) -> np.ndarray:
    """Whether the character is an upper-case letter."""
    return np.fromiter(map(str.isupper, text), bool, len(text))


def indentation(text: str) -> np.ndarray:
    """The width of the white space at the beginning of the line, up to the current character; 0 at the line feed.

    A tab ends at the next multiple of 8 columns.
    """
    found = np.zeros(len(text), np.int64)
    for match in re.finditer(r"^([ \t]+)[^\n]*", text, re.MULTILINE):
        width = 0
        for at, character in enumerate(match.group(1), match.start()):
            width += TAB - width % TAB if character == "\t" else 1
            found[at] = width
        found[match.end(1) : match.end()] = width
    return found


#: The features that `units` looks for. Add your own: {**FEATURES, "vowel": lambda text: [c in "aeiou" for c in text]}.
FEATURES: Mapping[str, Feature] = MappingProxyType(
    {
        "position in line": position_in_line,
        "inside quotes": inside_quotes,
        "bracket depth": bracket_depth,
        "word start": word_start,
        "digit": digit,
        "capital": capital,
        "indentation": indentation,
    }
)


def feature_values(features: Mapping[str, Feature], text: str) -> np.ndarray:
    """The values (len(text), F), float64, of F features in the order of the mapping.

    Raises ArgumentTypeError for a feature that is not a function, ShapeError where one does not return one number for
    each character, and ArgumentError for numbers that are not finite.
    """
    if not isinstance(features, Mapping) or not features:
        raise ArgumentTypeError(
            "`features` must be a mapping with at least one name and function, such as {'vowel': is_vowel}, got "
            f"{features!r:.60}."
        )
    found = np.empty((len(text), len(features)))
    for k, (name, feature) in enumerate(features.items()):
        if not callable(feature):
            raise ArgumentTypeError(f"`features` must map names to functions, got {feature!r:.60} for {name!r}.")
        values = np.asarray(feature(text))
        if values.dtype.kind not in "biuf":
            raise ArgumentTypeError(f"the feature {name!r} must return numbers or booleans, got {values.dtype}.")
        if values.shape != (len(text),):
            raise ShapeError(
                f"the feature {name!r} must return one number for each of the {len(text)} characters, got an array of "
                f"shape {values.shape}."
            )
        if not np.isfinite(values).all():
            raise ArgumentError(f"the feature {name!r} returned values that are NaN or infinite.")
        found[:, k] = values
    return found


def is_on(values: np.ndarray) -> np.ndarray:
    """Where a feature is on, (N,): where it is true, or, for a numeric feature, above its median."""
    return values > (np.median(values) if is_numeric(values) else 0)


def is_numeric(values: np.ndarray) -> bool:
    """Whether a feature has other values than 0 and 1."""
    return not np.isin(values, (0, 1)).all()
