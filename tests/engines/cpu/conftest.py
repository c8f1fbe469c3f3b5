"""Memory full of NaN, and any number of threads."""

import numpy as np
import pytest
import torch

from tidegate.engines.cpu import workspace


@pytest.fixture
def poisoned(monkeypatch):
    """Memory handed to kernels is full of NaN, so that a number nobody wrote is seen."""
    take, new = workspace._take, torch.empty

    def nan_take(size: int) -> np.ndarray:
        memory = take(size)
        memory[: memory.nbytes // 8 * 8].view(np.float64)[:] = np.nan
        return memory

    def nan_empty(*shape, **options):
        made = new(*shape, **options)
        return made.fill_(torch.nan) if made.is_floating_point() else made

    monkeypatch.setattr(workspace, "_take", nan_take)
    monkeypatch.setattr(torch, "empty", nan_empty)


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)
