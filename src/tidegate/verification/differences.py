"""Finite differences, with the step size and the error estimate found from a sequence of step sizes."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

LADDER = tuple(0.1 / 4**k for k in range(8))
MOST_ENTRIES = 200


@dataclass(frozen=True)
class Difference:
    """Central differences of a loss with respect to entries of one tensor, and an estimate of their error.

    entries: their indices in the flattened tensor, all of a small one, 50 random ones of a large one. values: dL/d of
    those entries. step: the larger step of the chosen pair. error: the estimated norm of the error of `values`.
    """

    entries: Tensor
    values: Tensor
    step: float
    error: float


def differentiate(loss: Callable[[Tensor], Tensor], at: Tensor, seed: int = 0) -> Difference:
    """dL/d(at) in float64 by central differences, extrapolated from steps s and s/4 (Richardson).

    The steps are 0.1, 0.025 and so on, eight of them: large ones have a truncation error, small ones a rounding error.
    Two consecutive extrapolations differ by about the error of the worse one; of the pair that differs least the second
    is returned, and the difference is the estimate of its error.
    """
    at = at.detach()
    entries = torch.arange(at.numel())
    if at.numel() > MOST_ENTRIES:
        entries = torch.randperm(at.numel(), generator=torch.Generator().manual_seed(seed))[:50].sort().values
    unit = torch.zeros(len(entries), at.numel(), dtype=at.dtype)
    unit[torch.arange(len(entries)), entries] = 1
    unit = unit.view(-1, *at.shape)
    losses = torch.func.vmap(loss, chunk_size=2048)
    with torch.no_grad():
        moved = torch.cat([at + sign * step * unit for step in LADDER for sign in (1, -1)])
        values = losses(moved).view(len(LADDER), 2, -1)
    central = (values[:, 0] - values[:, 1]) / (2 * torch.tensor(LADDER, dtype=at.dtype)[:, None])
    extrapolated = (16 * central[1:] - central[:-1]) / 15
    doubt = (extrapolated[1:] - extrapolated[:-1]).norm(dim=1)
    best = int(doubt.argmin())
    return Difference(entries, extrapolated[best + 1], LADDER[best + 1], float(doubt[best]))
