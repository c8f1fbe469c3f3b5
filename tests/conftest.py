"""For the tests of several folders: random numbers, public texts on which figures are known, and a browser."""

import os
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.browser import browser, open_page  # noqa: F401  fixtures

BESIDE = Path(__file__).parents[2] / "shared" / "data"
FOLDERS = [Path(folder) for folder in (os.environ.get("TIDEGATE_DATA"), BESIDE) if folder]


@pytest.fixture(autouse=True)
def same_random_numbers(request) -> None:
    """Each test has its own random numbers, the same in every run, so that a failure can be repeated."""
    torch.manual_seed(zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture
def reference() -> Callable[[str], Path]:
    """`reference("timemachine.txt")` is where that file lies: in the folder that TIDEGATE_DATA names, or beside the
    repository. A test whose file is not there is skipped."""

    def find(name: str) -> Path:
        for folder in FOLDERS:
            if (folder / name).is_file():
                return folder / name
        pytest.skip(f"no {name}; TIDEGATE_DATA can name a folder that has it")

    return find
