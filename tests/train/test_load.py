import json
import math

import pytest
import torch

import tidegate
from tidegate.errors import ArgumentError, CheckpointError
from tidegate.text import Vocabulary
from tidegate.train import checkpoint
from tidegate.train.checkpoint import Checkpoint

VOCABULARY = Vocabulary.build("The cat sat on the mat.")


@pytest.fixture
def saved(tmp_path):
    """Save a model of these arguments into the folder of that name."""

    def make(name="run", cell="gru", hidden=8, vocabulary=VOCABULARY, layers=1):
        model = tidegate.LanguageModel(cell, len(vocabulary), hidden, layers=layers)
        tidegate.save(tmp_path / name, model, vocabulary)
        return tmp_path / name

    return make


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"cell": "lstm"}, "cell lstm, expected gru as in run.json"),
        ({"cell": "reset-before-gru"}, "cell reset-before-gru, expected gru as in run.json"),
        ({"hidden": 9}, "hidden 9, expected 8"),
        ({"layers": 2}, "layers 2, expected 1"),
        ({"vocabulary": Vocabulary.build("The cat sat on the mud.")}, "vocabulary"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused_with_what_differs(saved, other, words):
    run, stranger = saved(), saved("other", **other)
    (run / "best.safetensors").write_bytes((stranger / "best.safetensors").read_bytes())
    with pytest.raises(CheckpointError) as refused:
        tidegate.load(run)
    assert f"{run / 'best.safetensors'} is the checkpoint of another run: {words}" in str(refused.value)
    assert "Put the run's own checkpoint back" in str(refused.value)


def test_equations_that_differ_under_one_name_are_refused(saved):
    run = saved()
    described = json.loads((run / "run.json").read_text())
    described["model"]["step"] = json.loads((saved("other", "lstm") / "run.json").read_text())["model"]["step"]
    (run / "run.json").write_text(json.dumps(described))
    with pytest.raises(CheckpointError, match=r"its equations are not those in run.json"):
        tidegate.load(run)


def test_a_folder_without_its_description_is_read_and_a_damaged_one_is_not(saved):
    run = saved()
    (run / "run.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"run.json is damaged .*Restore or remove it"):
        tidegate.load(run)
    (run / "run.json").write_text("[]")
    with pytest.raises(CheckpointError, match=r"run.json is damaged: expected a JSON object"):
        tidegate.load(run)
    (run / "run.json").unlink()
    (run / "run.json").mkdir()
    with pytest.raises(CheckpointError, match=r"run.json cannot be read: .*Make it readable, or remove it"):
        tidegate.load(run)
    (run / "run.json").rmdir()
    assert tidegate.load(run).vocabulary == VOCABULARY


def rewritten(run, change):
    """Change the tensors and facts of a checkpoint, with a right SHA-256 over the result."""
    path = run / "best.safetensors"
    content = checkpoint.load(path)
    change(content.tensors, content.facts)
    checkpoint.save(path, Checkpoint(content.tensors, content.facts))
    (run / "run.json").unlink(missing_ok=True)


def test_weights_that_are_not_finite_are_refused_by_name(saved):
    run = saved()
    rewritten(run, lambda tensors, _: tensors["model.recurrent.weight_hh_l0"].__setitem__((3, 3), math.nan))
    with pytest.raises(CheckpointError, match=r"recurrent.weight_hh_l0 has values that are NaN or infinite"):
        tidegate.load(run)


@pytest.mark.parametrize("name", ["hidden", "layers"])
def test_sizes_that_differ_from_the_weights_are_refused_before_allocation(saved, name):
    run = saved()
    rewritten(run, lambda _, facts: facts["model"].__setitem__(name, 2**31 - 1))
    with pytest.raises(CheckpointError, match="does not hold the model that it describes"):
        tidegate.load(run)


def test_a_checkpoint_without_weights_is_refused(saved):
    run = saved()
    rewritten(run, lambda tensors, _: tensors.clear())
    with pytest.raises(CheckpointError, match=r"its head.weight is none"):
        tidegate.load(run)


def test_an_unknown_checkpoint_or_device_is_refused(saved, monkeypatch):
    run = saved()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ArgumentError, match="`checkpoint` must be one of last, best, got 'first'"):
        tidegate.load(run, "first")
    with pytest.raises(ArgumentError, match="`device` cuda is not available"):
        tidegate.load(run, device="cuda")


def test_the_engine_can_be_chosen_by_the_caller(saved):
    assert tidegate.load(saved(), engine="eager").model.recurrent.engine == "eager"
