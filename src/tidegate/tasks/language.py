"""Language: the next character of a text."""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from tidegate.errors import ArgumentError, DataError
from tidegate.tasks.batch import Batch
from tidegate.tasks.parameters import check_choice, check_range
from tidegate.tasks.task import Task
from tidegate.text import Baseline, Dataset, Part, TokenArray, Vocabulary, load_text, make_dataset, ngram_baseline

PARTS = ("train", "heldout")


@dataclass(frozen=True)
class Language(Task):
    """Character language modelling: at every step, predict the next character of a text.

    `text` is a corpus (builtin, time-machine, tiny-shakespeare) or the path of a UTF-8 file; its last tenth is held
    out. A sequence is a window of T = `length` characters from a random place of the part, read from a state of zeros,
    so the first characters of a window are predicted from little context. Batches are drawn from the training part, or,
    with `part` "heldout", from the held-out part, on which the score should be measured (`heldout()`). A file is read
    once per process.

    Chance: the best constant distribution has the entropy of the characters of the part, -sum_c p_c log2 p_c, except
    for the ends of the part, which occur in fewer windows. Best: unknown. Solved: the bits per character, on the
    held-out part, of the best n-gram model of order 0 to 6, which is counted on the training part.
    Metric: bits per character.
    Source: T. Mikolov et al., Recurrent neural network based language model (2010); by characters, A. Karpathy,
    J. Johnson, L. Fei-Fei, arXiv:1506.02078 (2015).
    """

    text: str = "builtin"
    length: int = 64
    part: str = "train"

    name = "text"
    source = "Mikolov et al. (2010); Karpathy, Johnson, Fei-Fei, arXiv:1506.02078 (2015)"
    metric = "bits per character"
    higher_is_better = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "length", 1)
        check_choice(self, "part", PARTS)
        if self.text == "-":
            raise ArgumentError("`text` must be a corpus or a file, got - (standard input): save it as a file first.")
        least = min(len(_dataset(self.text).train), len(_dataset(self.text).heldout))
        if least <= self.length:
            raise DataError(
                f"a part of the text {self.text} has {least} characters: too few for a window of `length` "
                f"{self.length} and the character after it. Use a longer text or a smaller `length`."
            )

    @property
    def vocabulary(self) -> Vocabulary:
        """The characters by class index."""
        return _dataset(self.text).vocabulary

    @property
    def input_size(self) -> int:
        return len(self.vocabulary)

    @property
    def output_size(self) -> int:
        return len(self.vocabulary)

    @property
    def chance(self) -> float:
        counts = np.zeros(self.output_size)
        for block in TokenArray.of(self._part().ids).blocks():
            counts += np.bincount(block, minlength=len(counts))
        p = counts[counts > 0] / counts.sum()
        return float(-(p * np.log2(p)).sum())

    @property
    def solved(self) -> float:
        return _baseline(self.text).bpc

    @property
    def data(self) -> str:
        return _dataset(self.text).text.sha256

    def heldout(self) -> "Language":
        return replace(self, part="heldout")

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        ids = TokenArray.of(self._part().ids)
        begins = torch.randint(len(ids) - self.length, (size,), generator=generator).numpy()
        windows = ids.at(begins + np.arange(self.length + 1)[:, None])
        return Batch(windows[:-1].contiguous(), windows[1:].contiguous())

    def score(self, outputs: Tensor, batch: Batch) -> float:
        return float(self.loss(outputs.detach().double(), batch)) / math.log(2)

    def _part(self) -> Part:
        return _dataset(self.text).train if self.part == "train" else _dataset(self.text).heldout


@lru_cache(maxsize=4)
def _dataset(text: str) -> Dataset:
    return make_dataset(load_text(text))


@lru_cache(maxsize=4)
def _baseline(text: str) -> Baseline:
    dataset = _dataset(text)
    return ngram_baseline(dataset.train, dataset.heldout, len(dataset.vocabulary))
