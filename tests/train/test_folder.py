import os

import pytest

from tidegate.errors import ArgumentError, CheckpointError
from tidegate.train import folder


def test_a_new_folder_is_made_with_its_parents(tmp_path):
    assert folder.create(tmp_path / "a" / "b").path.is_dir()
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_folder_that_contains_a_run_is_refused_with_the_remedy(tmp_path):
    (tmp_path / "last.safetensors").touch()
    with pytest.raises(
        ArgumentError, match=rf"--out {tmp_path} already contains a run. .*--resume {tmp_path}, or choose"
    ):
        folder.create(tmp_path)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "run").touch()
    with pytest.raises(ArgumentError, match="--out must be a folder, got the file"):
        folder.create(tmp_path / "run")
    with pytest.raises(ArgumentError, match="--out must be a writable folder"):
        folder.create(tmp_path / "run" / "deeper")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(ArgumentError, match=r"a writable folder, got .*: Permission denied"):
            folder.create(tmp_path / "run")
    finally:
        tmp_path.chmod(0o700)


def test_a_folder_without_a_run_is_refused_with_what_was_expected(tmp_path):
    with pytest.raises(CheckpointError, match=r"no run at .*nowhere: expected the folder"):
        folder.open_run(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match=r"expected last.safetensors or best.safetensors there"):
        folder.open_run(tmp_path)


def test_the_next_free_folder_is_named_by_text_cell_and_number(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(folder.next_free("texts/My Novel.txt", "gru")) == os.path.join("runs", "my-novel-gru-1")
    (tmp_path / "runs" / "my-novel-gru-1").mkdir(parents=True)
    assert str(folder.next_free("texts/My Novel.txt", "gru")) == os.path.join("runs", "my-novel-gru-2")
    assert str(folder.next_free("-", "cells/mine.py:MyCell")) == os.path.join("runs", "stdin-mycell-1")


def test_the_folder_of_a_run_killed_before_its_first_checkpoint_is_used_again(tmp_path):
    (tmp_path / "run.json").touch()
    assert folder.create(tmp_path).path == tmp_path
