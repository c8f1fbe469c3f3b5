"""Memory full of NaN, and any number of threads."""

import pytest
import torch
from tests.engines.cpu import memory


@pytest.fixture
def poisoned():
    """Memory handed to kernels is full of NaN, so that a number nobody wrote is seen."""
    with memory.poisoned():
        yield


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)
