"""Every cell by name, and one thread."""

import pytest
import torch
from tests.insight.small import EVERY_CELL


@pytest.fixture(params=EVERY_CELL)
def cell(request):
    return request.param


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
