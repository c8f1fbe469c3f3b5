"""Digits: handwritten digits, read pixel by pixel."""

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch

from tidegate.errors import DataError
from tidegate.tasks.batch import Batch
from tidegate.tasks.parameters import check_choice
from tidegate.tasks.task import Task
from tidegate.text import IGNORE

PARTS = ("train", "heldout")
HELDOUT = 360  # the last images; most of the others are from different writers


@dataclass(frozen=True)
class Digits(Task):
    """Classify a handwritten digit after its 8 x 8 = 64 pixels were read.

    The sequences are the 1,797 images of scikit-learn's digits, one pixel (0 to 1) per step, row by row. Batches are
    drawn with replacement from the first 1,437 images, or, with `part` "heldout", from the last 360, on which the score
    should be measured (`heldout()`). At the last step the target is the digit.

    Chance: the share of the most frequent digit in the part. Best: unknown. Metric: accuracy. Solved: 0.9.
    Needs scikit-learn, which the extra `tasks` installs.
    Source: E. Alpaydin, C. Kaynak, Optical recognition of handwritten digits, UCI (1998); read pixel by
    pixel as Q. Le, N. Jaitly, G. Hinton, arXiv:1504.00941 (2015), read MNIST.
    """

    part: str = "train"

    name = "digits"
    source = "Alpaydin, Kaynak, UCI (1998); as a sequence after Le, Jaitly, Hinton, arXiv:1504.00941 (2015)"
    metric = "accuracy"
    indexed = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice(self, "part", PARTS)
        _images()

    @property
    def input_size(self) -> int:
        return 1

    @property
    def output_size(self) -> int:
        return 10

    @property
    def chance(self) -> float:
        _, digits = self._part()
        return float(digits.bincount().max() / len(digits))

    @property
    def solved(self) -> float:
        return 0.9

    @property
    def data(self) -> str:
        return _images()[2]

    def heldout(self) -> "Digits":
        return replace(self, part="heldout")

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        pixels, digits = self._part()
        drawn = torch.randint(len(digits), (size,), generator=generator)
        target = torch.full((pixels.shape[1], size), IGNORE)
        target[-1] = digits[drawn]
        return Batch(pixels[drawn].T[..., None].contiguous(), target)

    def _part(self) -> tuple[torch.Tensor, torch.Tensor]:
        pixels, digits, _ = _images()
        part = slice(None, -HELDOUT) if self.part == "train" else slice(-HELDOUT, None)
        return pixels[part], digits[part]


@lru_cache(maxsize=1)
def _images() -> tuple[torch.Tensor, torch.Tensor, str]:
    """Pixels (1797, 64) from 0 to 1, digits (1797,), and the SHA-256 of both."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError(
            "the task digits needs scikit-learn, which is not installed. Use pip install 'tidegate[tasks]'."
        ) from error
    data, target = load_digits(return_X_y=True)
    pixels, digits = np.asarray(data, np.float32), np.asarray(target, np.int64)
    hashed = hashlib.sha256(pixels.tobytes() + digits.tobytes()).hexdigest()
    return torch.from_numpy(pixels / 16), torch.from_numpy(digits), hashed
