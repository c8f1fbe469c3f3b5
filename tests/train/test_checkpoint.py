import errno
import os

import pytest
import torch

from tidegate.errors import CheckpointError
from tidegate.train import checkpoint
from tidegate.train.checkpoint import Checkpoint, load, save, write_atomically


@pytest.fixture
def example():
    tensors = {
        "a": torch.randn(3, 5),
        "b": torch.arange(4, dtype=torch.uint8),
        "c": torch.tensor(1.5),
        "d": torch.empty(0),
    }
    return Checkpoint(tensors, {"step": 7, "vocabulary": ["a", "\n", "é", "\u2028"]})


def test_what_is_saved_is_loaded(tmp_path, example):
    save(tmp_path / "last.safetensors", example)
    loaded = load(tmp_path / "last.safetensors")
    assert loaded.facts == example.facts
    assert loaded.tensors.keys() == example.tensors.keys()
    assert all(torch.equal(loaded.tensors[name], example.tensors[name]) for name in example.tensors)
    assert [p.name for p in tmp_path.iterdir()] == ["last.safetensors"]


@pytest.mark.parametrize("place", [0.02, 0.5, 0.999])
def test_a_changed_byte_is_found(tmp_path, example, place):
    path = tmp_path / "last.safetensors"
    save(path, example)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 0x04
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"last.safetensors is (damaged|not a checkpoint)"):
        load(path)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.6, 0.99])
def test_a_cut_file_is_found_and_the_other_checkpoint_is_named(tmp_path, example, share):
    last, best = tmp_path / "last.safetensors", tmp_path / "best.safetensors"
    save(last, example)
    save(best, example)
    last.write_bytes(last.read_bytes()[: int(share * last.stat().st_size)])
    with pytest.raises(
        CheckpointError,
        match=r"last.safetensors is damaged .*best.safetensors is in the same folder .*--checkpoint best",
    ):
        load(last)


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"no checkpoint at .*last"):
        load(tmp_path / "last.safetensors")


def test_a_run_without_an_evaluation_has_its_last_checkpoint(tmp_path, example):
    save(tmp_path / "last.safetensors", example)
    with pytest.raises(CheckpointError, match=r"no checkpoint at .*best.safetensors: .* --checkpoint last"):
        load(tmp_path / "best.safetensors")


def test_another_safetensors_file_is_refused(tmp_path):
    import safetensors.torch

    safetensors.torch.save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="expected format 'tidegate-1' in its header, got None"):
        load(tmp_path / "model.safetensors")


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failed_write_keeps_the_earlier_file_and_leaves_no_other(tmp_path, monkeypatch, failing):
    path = tmp_path / "last.safetensors"
    write_atomically(path, b"earlier")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoint.os, failing, full)
    with pytest.raises(CheckpointError, match=r"No space left on device; the earlier last.safetensors is intact"):
        write_atomically(path, b"later")
    assert path.read_bytes() == b"earlier"
    assert [p.name for p in tmp_path.iterdir()] == ["last.safetensors"]


def test_an_interrupt_in_the_middle_of_a_write_keeps_the_earlier_file(tmp_path, monkeypatch, example):
    path = tmp_path / "last.safetensors"
    save(path, example)

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint.os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save(path, Checkpoint({}, {}))
    assert load(path).facts == example.facts
    assert [p.name for p in tmp_path.iterdir()] == ["last.safetensors"]
