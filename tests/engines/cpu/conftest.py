"""A check that each test gives its pooled memory back, and the rights of another user, for a test that runs as root."""

import gc
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidegate.engines.cpu import workspace

OTHER_USER = 54321


@pytest.fixture(autouse=True)
def memory_is_given_back() -> Iterator[None]:
    """Memory that a test keeps would be missing from the counts of later tests."""
    before = workspace.pool.in_use()
    yield
    if workspace.pool.in_use() != before:
        gc.collect()
    assert workspace.pool.in_use() == before


@pytest.fixture
def other_user() -> Iterator[Path]:
    """A folder of another user, while the process has the effective rights of that user."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can become another user")
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, OTHER_USER, OTHER_USER)
        os.setegid(OTHER_USER)
        os.seteuid(OTHER_USER)
        try:
            yield Path(folder)
        finally:
            os.seteuid(0)
            os.setegid(0)
