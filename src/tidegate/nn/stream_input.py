"""The input of one step, as a NumPy array, and the errors for one that does not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from tidegate.errors import ArgumentError, ArgumentTypeError, IndicesError, ShapeError


def as_array(x: Any) -> np.ndarray:
    """A tensor, an integer or a NumPy number as an array; ArgumentError or ArgumentTypeError for anything else."""
    if isinstance(x, Tensor):
        if not x.requires_grad and not x.is_neg():
            try:
                return x.numpy()
            except (RuntimeError, TypeError):  # not a dense tensor of real numbers on the CPU
                pass
        if not x.is_cpu or x.is_sparse:
            raise ArgumentError(
                f"`x` must be a dense tensor on the CPU, got one of {x.layout} on {x.device}. Use x.to_dense().cpu()."
            )
        return x.detach().resolve_neg().resolve_conj().numpy()
    if isinstance(x, (np.ndarray, np.generic)) or (isinstance(x, int) and not isinstance(x, bool)):
        return np.asarray(x)
    raise ArgumentTypeError(
        f"`x` must be a NumPy array, a torch tensor or an integer, got {type(x).__name__}. Use numpy.asarray(x)."
    )


def check_range(x: np.ndarray, D: int) -> None:
    """IndicesError unless all class indices lie in 0..D-1."""
    low, high = int(x.min()), int(x.max())
    if low < 0 or high >= D:
        raise IndicesError(f"class indices in `x` must be in 0..{D - 1} (D = {D} inputs), got {low}..{high}.")


def refused(x: np.ndarray, B: int, D: int, number: np.dtype, *, indices: bool) -> Exception:
    """The error for an x of the wrong shape or dtype; `indices`: class indices are accepted."""
    if x.dtype.kind in "iu" and indices:
        shapes = "(B,) = (1,) or ()" if B == 1 else f"(B,) = ({B},)"
        return ShapeError(
            f"`x` of integers holds class indices of shape {shapes}, got the shape {x.shape}. "
            f"For {D} features use x.astype({number.name!r})."
        )
    if x.dtype != number:
        takes = f"{number.name}, or integers as class indices" if indices else number.name
        return ArgumentError(f"`x` must be of {takes}, got {x.dtype.name}. Use x.astype({number.name!r}).")
    shapes = f"(B, D) = ({B}, {D})" + (f" or (D,) = ({D},)" if B == 1 else "")
    return ShapeError(f"`x` must have shape {shapes}, got {x.shape}. B is the `batch` of the stream.")
