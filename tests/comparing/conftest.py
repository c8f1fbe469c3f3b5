"""Comparisons that take no time."""

import pytest
import torch

from tidegate.comparing import Settings

SMALL = Settings(hidden=6, batch=8, steps=12, eval_every=4, eval_size=32, lr=0.03)


@pytest.fixture
def small() -> Settings:
    return SMALL


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Tiny tensors gain nothing from threads, and lose much where tests run side by side."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
