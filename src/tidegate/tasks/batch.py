"""Batch: input sequences of a task with their targets, time first."""

from dataclasses import dataclass

import torch
from torch import Tensor

from tidegate.errors import ShapeError
from tidegate.text import IGNORE


@dataclass(frozen=True, eq=False)
class Batch:
    """B sequences of T steps.

    x: (T, B) int64 class indices, or (T, B, D) float32 features.
    target: (T, B) int64 classes, IGNORE (-100) at steps without a target; or (T, B, K) float32, NaN at steps without a
    target.
    resets: (B, T) bool, the argument `resets` of a layer: true where the state is set to zero before the step; None if
    it never is.

    Raises ShapeError if the shapes do not agree.
    """

    x: Tensor
    target: Tensor
    resets: Tensor | None = None

    def __post_init__(self) -> None:
        if self.x.ndim not in (2, 3) or self.target.ndim not in (2, 3):
            raise ShapeError(
                "`x` and `target` must have shape (T, B) or (T, B, features), "
                f"got {tuple(self.x.shape)} and {tuple(self.target.shape)}."
            )
        T, B = self.x.shape[:2]
        if self.target.shape[:2] != (T, B):
            raise ShapeError(f"`target` must begin with (T, B) = {T, B} as `x` does, got {tuple(self.target.shape)}.")
        if self.resets is not None and (self.resets.shape != (B, T) or self.resets.dtype != torch.bool):
            raise ShapeError(
                f"`resets` must be torch.bool of shape (B, T) = {B, T}, "
                f"got {self.resets.dtype} of shape {tuple(self.resets.shape)}."
            )

    @property
    def asked(self) -> Tensor:
        """(T, B) bool: the steps that have a target."""
        return self.target != IGNORE if self.target.ndim == 2 else ~self.target.isnan().any(-1)
