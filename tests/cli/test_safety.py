"""A run folder holds no code, and nothing in one is executed, whoever wrote it."""

import json

import pytest

from tidegate.train import checkpoint
from tidegate.train.checkpoint import Checkpoint

MINE = """
from tidegate import Cell, sigmoid, tanh


class Minimal(Cell):
    gates = ("f", "n")
    state = ("h",)

    def equations(a, U, h):
        f = sigmoid(a.f + U.f(h))
        n = tanh(a.n + U.n(f * h))
        return (f * h + (1 - f) * n,), (f, n)
"""


@pytest.fixture
def own(tidegate, text, small, tmp_path):
    """The folder of a run of a user's cell, whose file is gone."""
    (tmp_path / "mine.py").write_text(MINE)
    folder = tmp_path / "run"
    outcome = tidegate("train", text, *small, "--cell", "mine.py:Minimal", "--epochs", 1, "--out", folder)
    assert outcome.code == 0, outcome.err
    (tmp_path / "mine.py").unlink()
    return folder


def every_use(folder):
    """The commands that read a run."""
    return [("eval", folder), ("sample", folder, "--length", 5), ("train", "--resume", folder, "--epochs", 2)]


def test_a_run_of_a_custom_cell_stores_its_equations_as_data(own):
    assert [p.name for p in own.iterdir() if p.suffix not in (".json", ".jsonl", ".safetensors", ".png", "")] == []
    step = json.loads(json.loads((own / "run.json").read_text())["model"]["step"])
    assert (step["name"], step["gates"]) == ("Minimal", ["f", "n"])


def test_python_files_in_a_run_and_in_the_current_folder_are_not_executed(tidegate, own, tmp_path):
    """Each would leave the file `executed`."""
    code = f"open({str(tmp_path / 'executed')!r}, 'w').close()\n" + MINE
    for place in (own / "mine.py", tmp_path / "mine.py", own / "sitecustomize.py", own / "conftest.py"):
        place.write_text(code)
    for command in every_use(own):
        outcome = tidegate(*command)
        assert outcome.code == 0, outcome.err
    assert not (tmp_path / "executed").exists()


def tampered(folder, change):
    """Change the facts of every checkpoint of a run, with a right SHA-256 over the result."""
    for name in ("best", "last"):
        path = folder / f"{name}.safetensors"
        content = checkpoint.load(path)
        change(content.facts)
        checkpoint.save(path, Checkpoint(content.tensors, content.facts))
    (folder / "run.json").unlink()


def exchange(step, **fields):
    return json.dumps(json.loads(step) | fields)


@pytest.mark.parametrize(
    "change",
    [
        lambda step: exchange(step, name="__import__('os').system('touch executed')"),
        lambda step: exchange(step, nodes=[["leaf", "input", "f"], ["__import__('os').system('touch executed')", 0]]),
        lambda step: exchange(step, gates=["__class__", "n"]),
        lambda step: "__import__('os').system('touch executed')",
        lambda step: "[" * 100_000,
    ],
)
def test_tampered_equations_are_refused_in_one_sentence(tidegate, own, tmp_path, change):
    tampered(own, lambda facts: facts["model"].update(step=change(facts["model"]["step"])))
    for command in every_use(own):
        outcome = tidegate(*command)
        assert outcome.code == 2
        assert "does not contain valid facts of this version (" in outcome.err
        assert outcome.err.count("\n") == 1
    assert not (tmp_path / "executed").exists()


def test_a_run_of_version_0_1_with_code_is_refused_with_what_to_do_and_not_executed(tidegate, own, tmp_path):
    (own / "mine.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w').close()\n" + MINE)
    tampered(own, lambda facts: facts.pop("model"))
    for command in every_use(own):
        outcome = tidegate(*command)
        assert outcome.code == 2
        assert "Code from a run folder is not executed: check that file, then train again with --cell" in outcome.err
    assert not (tmp_path / "executed").exists()


def test_a_cell_given_on_resume_must_have_the_equations_of_the_run(tidegate, own, tmp_path):
    (tmp_path / "elsewhere.py").write_text(MINE)
    same = tidegate("train", "--resume", own, "--cell", "elsewhere.py:Minimal", "--epochs", 2)
    assert same.code == 0, same.err
    (tmp_path / "changed.py").write_text(MINE.replace("tanh(", "sigmoid("))
    for cell, words in (("changed.py:Minimal", "got changed.py:Minimal"), ("gru", "got gru")):
        outcome = tidegate("train", "--resume", own, "--cell", cell, "--epochs", 3)
        assert outcome.code == 2
        assert f"was trained with --cell mine.py:Minimal, {words}" in outcome.err
