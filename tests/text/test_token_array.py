"""Token indices in memory, behind a table, and in a file."""

import mmap

import numpy as np
import pytest
import torch

from tidegate.text import token_array
from tidegate.text.token_array import TokenArray


@pytest.fixture(params=["memory", "table", "file"])
def array(request, tmp_path):
    """An array of the indices 3 k mod 251, k < 1000."""
    indices = (3 * np.arange(1000) % 251).astype(np.uint8)
    if request.param == "table":
        return TokenArray(250 - indices, 250 - np.arange(256))
    if request.param == "file":
        (tmp_path / "indices").write_bytes(indices.tobytes())
        with open(tmp_path / "indices", "rb") as file:
            pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return TokenArray(np.frombuffer(pages, np.uint8), pages=pages)
    return TokenArray(indices)


EXPECTED = 3 * torch.arange(1000) % 251


def test_slices_and_indices_are_int64(array):
    assert len(array) == 1000
    assert torch.equal(array[:], EXPECTED)
    assert torch.equal(array[100:200], EXPECTED[100:200])
    places = torch.tensor([[5, 999], [0, 7]])
    assert torch.equal(array.at(places.numpy()), EXPECTED[places])


def test_a_part_has_its_own_indices(array):
    part = array.part(slice(100, 300))
    assert len(part) == 200
    assert torch.equal(part[:], EXPECTED[100:300])


@pytest.mark.parametrize("overlap", [0, 1])
def test_blocks_cover_the_array_and_release_their_pages(array, overlap, monkeypatch):
    monkeypatch.setattr(token_array, "BLOCK", 300)
    blocks = list(array.blocks(overlap))
    assert len(blocks) == 4
    joined = np.concatenate([block[: len(block) - overlap] for block in blocks[:-1]] + blocks[-1:])
    assert joined.tolist() == EXPECTED.tolist()
    assert torch.equal(array[:], EXPECTED)


def test_a_tensor_is_taken_as_it_is():
    assert torch.equal(TokenArray.of(EXPECTED)[:], EXPECTED)
    array = TokenArray(np.arange(3))
    assert TokenArray.of(array) is array
