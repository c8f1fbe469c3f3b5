"""The sentences of derivations, one file for each language."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType

from tidegate.calculus.derivation.formula import Formula
from tidegate.calculus.derivation.parts import Words


@dataclass(frozen=True)
class Language:
    """`sentences` are templates by name; {x} stands for a formula or text. `labels` translate what docstrings call
    gates; None where docstrings are in this language. `comma`, `last` and `semicolon` separate the items of lists.
    """

    name: str
    sentences: Mapping[str, str]
    labels: Mapping[str, str] | None
    comma: str
    last: str
    semicolon: str

    def words(self, key: str, **values: Formula | str | Words) -> Words:
        """The sentence of that name, its places filled."""
        parts: list[str | Formula] = []
        for i, piece in enumerate(re.split(r"\{(\w+)\}", self.sentences[key])):
            found: Formula | str | Words = values[piece] if i % 2 else piece
            parts += found if isinstance(found, tuple) else [found]
        return joined(parts)

    def text(self, key: str, **values: str) -> str:
        """As `words`, where nothing is a formula."""
        return self.sentences[key].format(**values)

    def label(self, words: str) -> str | None:
        """What a docstring calls a gate, in this language; None if that is not known."""
        return words if self.labels is None else self.labels.get(words)

    def listed(self, names: Sequence[str | Formula]) -> Words:
        """x, y and z."""
        return self.listed_words([(name,) for name in names])

    def listed_words(self, words: Sequence[Words], comma: str | None = None) -> Words:
        """Several texts as one, with commas or what stands for them."""
        parts: list[str | Formula] = []
        for i, each in enumerate(words):
            last = self.last if i == len(words) - 1 and comma is None else comma or self.comma
            parts += [last] * (i > 0) + [*each]
        return joined(parts)


def joined(parts: Sequence[str | Formula]) -> Words:
    """The parts, neighbouring texts as one."""
    found: list[str | Formula] = []
    for part in parts:
        if isinstance(part, str) and found and isinstance(found[-1], str):
            found[-1] += part
        elif part != "":
            found.append(part)
    return tuple(found)


def read(name: str, *signs: str) -> Language:
    """The language from its file."""
    found = tomllib.loads((files("tidegate.calculus.derivation.language") / f"{name}.toml").read_text(encoding="utf-8"))
    return Language(name, found["sentences"], found.get("labels"), *signs)


LANGUAGES = MappingProxyType({"en": read("en", ", ", " and ", "; "), "zh": read("zh", "、", " 和 ", "；")})
