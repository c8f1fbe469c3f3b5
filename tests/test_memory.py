"""What the pool of the CPU engine keeps: seen, given back, and bounded as the user says."""

import doctest
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import tidegate
from tidegate.errors import ArgumentError


@pytest.fixture(autouse=True)
def pool() -> Iterator[None]:
    """An empty pool, and the limit of before afterwards."""
    limit = tidegate.memory.usage().limit
    tidegate.memory.release()
    yield
    tidegate.memory.set_limit(limit)


def train() -> None:
    layer = tidegate.GRU(64, 64, engine="cpu")
    layer(torch.randn(100, 32, 64))[0].sum().backward()


def test_training_keeps_memory_which_is_given_back_on_request():
    train()
    gc.collect()
    kept = tidegate.memory.usage().kept
    assert kept > 1 << 20
    assert tidegate.memory.release() == kept
    assert tidegate.memory.usage().kept == 0


def test_referenced_outputs_count_as_memory_in_use():
    before = tidegate.memory.usage().in_use
    y, _ = tidegate.GRU(64, 64, engine="cpu")(torch.randn(100, 32, 64))
    assert tidegate.memory.usage().in_use - before >= y.numel() * 4
    del y, _
    gc.collect()
    assert tidegate.memory.usage().in_use == before


@pytest.mark.parametrize("limit", [0, 1 << 20])
def test_a_limit_applies_immediately_and_to_later_calls(limit):
    train()
    tidegate.memory.set_limit(limit)
    for _ in range(2):
        assert tidegate.memory.usage().kept <= limit == tidegate.memory.usage().limit
        train()


@pytest.mark.parametrize("limit", [-1, 1.5, "1 GiB", None, True])
def test_a_limit_that_is_not_a_number_of_bytes_is_refused(limit):
    with pytest.raises(ArgumentError, match="`limit` must be a number of bytes, 0 or more, got"):
        tidegate.memory.set_limit(limit)


def test_the_examples_in_docs_process_give_the_documented_output():
    page = Path(__file__).parent.parent / "docs" / "process.md"
    result = doctest.testfile(str(page), module_relative=False)
    assert result.attempted > 3
    assert not result.failed
