"""Memory full of NaN, and any number of threads."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from tidegate.engines.cpu import workspace


@pytest.fixture
def poisoned(monkeypatch):
    """Memory handed to kernels is full of NaN, so that a number nobody wrote is seen."""
    take = workspace.take

    def nan_take(size: int) -> workspace.Memory:
        memory = take(size)
        memory.array[: memory.size // 8 * 8].view(np.float64)[:] = np.nan
        return memory

    def full_of_nan(new: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def nan_empty(*arguments, **options):
            made = new(*arguments, **options)
            return made.fill_(torch.nan) if made.is_floating_point() else made

        return nan_empty

    monkeypatch.setattr(workspace, "take", nan_take)
    for owner, name in ((torch, "empty"), (torch, "empty_like"), (Tensor, "new_empty")):
        monkeypatch.setattr(owner, name, full_of_nan(getattr(owner, name)))


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)
