"""A text, and the command line in this process."""

from dataclasses import dataclass

import pytest
import torch

from tidegate.cli.app import main

SENTENCES = "The cat sat on the mat. A dog ate the rat! Where is the hat? "


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "cats.txt"
    path.write_text(SENTENCES * 20)
    return path


@pytest.fixture
def tidegate(capsys, monkeypatch, tmp_path):
    """Call the command line as a user does; what it printed and its exit code."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(exit.value.code or 0, captured.out, captured.err)

    return run


SMALL = ("--hidden", "8", "--batch", "4", "--steps", "10")


@pytest.fixture
def small():
    """Options of a run that takes no time."""
    return SMALL


@pytest.fixture
def run(tidegate, text, tmp_path):
    """The folder of a small finished run."""
    folder = tmp_path / "run"
    outcome = tidegate("train", text, *SMALL, "--epochs", 2, "--out", folder)
    assert outcome.code == 0, outcome.err
    return folder


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Tiny tensors gain nothing from threads, and lose much where tests run side by side."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
