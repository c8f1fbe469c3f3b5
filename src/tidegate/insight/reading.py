"""A text as a model reads it: its token indices, and for each token the position of its last character."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from tidegate.errors import ArgumentError, ArgumentTypeError, ShapeError
from tidegate.text import Vocabulary, tokenize
from tidegate.text.preprocess import letters

if TYPE_CHECKING:
    from tidegate.insight.subject import Subject


@dataclass(frozen=True)
class Reading:
    """text: its characters. ids (N,): the token indices, int64. ends (N,): token k ends with the character
    text[ends[k]]; a byte belongs to the character of which it is a part."""

    text: str
    ids: Tensor
    ends: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)


def read(subject: Subject, data: Any, name: str) -> Reading:
    """The Reading of a text or of token indices (N,); `name` is the name of the argument in error messages.

    Raises ArgumentTypeError if the model has no vocabulary, ShapeError or ArgumentError for indices of another shape or
    out of range.
    """
    vocabulary = subject.vocabulary
    if vocabulary is None:
        raise ArgumentTypeError(
            "`model` must have a vocabulary, because features are computed from text. Use tidegate.load(RUN); a model "
            "from Python can be saved with tidegate.save."
        )
    if isinstance(data, str):
        text, ids = encoded(vocabulary, subject.preprocess, data)
        return Reading(text, ids, token_ends(text, vocabulary.kind))
    ids = torch.as_tensor(data).detach().to("cpu")
    if ids.dim() != 1 or ids.is_floating_point():
        raise ShapeError(f"`{name}` must be a text or token indices (N,), got {ids.dtype} of {tuple(ids.shape)}.")
    if len(ids) and not (int(ids.min()) >= 0 and int(ids.max()) < len(vocabulary)):
        raise ArgumentError(
            f"`{name}` must have token indices in 0..{len(vocabulary) - 1}, got {int(ids.min())}..{int(ids.max())}."
        )
    return Reading(*spelled(vocabulary, ids.long()))


def encoded(vocabulary: Vocabulary, preprocess: str, text: str) -> tuple[str, Tensor]:
    """The text, preprocessed as the training text was, and its token indices (N,)."""
    text = text if preprocess == "raw" else only_letters(text, vocabulary.kind)
    return text, vocabulary.encode(tokenize(text, vocabulary.kind))


def only_letters(text: str, kind: str) -> str:
    """The text after the preprocessing "letters", for a model that was trained with it."""
    between = b" " if kind == "word" else b""
    return b"".join(letters([text.encode("ascii", "replace")], between)).decode("ascii")


def spelled(vocabulary: Vocabulary, ids: Tensor) -> tuple[str, Tensor, np.ndarray]:
    """The text of token indices, the indices, and the ends of the tokens in that text."""
    tokens = [vocabulary.tokens[k] for k in ids.tolist()]
    if vocabulary.kind == "byte":
        text = "".join(tokens).encode("latin-1").decode(errors="surrogateescape")
        return text, ids, token_ends(text, "byte")
    if vocabulary.kind == "word":
        text = vocabulary.decode(ids)
        return text, ids, token_ends(text, "word")
    return "".join(tokens), ids, np.cumsum([len(token) for token in tokens], dtype=np.int64) - 1


def token_ends(text: str, kind: str) -> np.ndarray:
    """The position (N,) of the last character of each token of `tokenize(text, kind)`."""
    if kind == "word":
        return np.array([match.end() - 1 for match in re.finditer(r"\n|[^\s]+", text)], np.int64)
    if kind == "char":
        return np.arange(len(text))
    sizes = np.fromiter((len(c.encode(errors="surrogateescape")) for c in text), np.int64, len(text))
    return np.repeat(np.arange(len(text)), sizes)
