"""Word models from the command line: trained, resumed, scored, sampled and inspected."""

import json

import pytest
from tests.own_cell import PROGRAM

from tidegate.cells import CELLS
from tidegate.train.load import load

SMALL = ("--tokens", "word", "--hidden", 8, "--layers", 2, "--batch", 4, "--steps", 10, "--dropout", 0.2)


def trained(tidegate, folder, text, *options):
    outcome = tidegate("train", text, *SMALL, *options, "--out", folder)
    assert outcome.code == 0, outcome.err
    return outcome


@pytest.mark.parametrize("name", [*CELLS, "own"])
def test_a_tied_word_model_is_read_by_every_command(tidegate, text, tmp_path, name):
    (tmp_path / "mine.py").write_text(PROGRAM)
    cell, folder = "mine.py:Leaky" if name == "own" else name, tmp_path / "run"
    outcome = trained(tidegate, folder, text, "--cell", cell, "--tie", "--epochs", 1)
    assert "8 units, token vectors of 8, tied, " in outcome.out
    assert load(folder).model.tied
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["embedding"], summary["tie"]) == (8, True)
    own = json.loads(tidegate("eval", folder, "--json").out)
    small = json.loads(tidegate("eval", folder, "--json", "--dtype", "bfloat16").out)
    assert own["bpc"] == pytest.approx(summary["best"]["heldout_bpc"], rel=1e-6)
    assert small["bpc"] == pytest.approx(own["bpc"], rel=1e-2)
    assert len(tidegate("sample", folder, "--length", 9, "--prompt", "The cat").out.split()) >= 9


def test_an_inspection_reads_the_token_vectors(tidegate, text, tmp_path):
    trained(tidegate, tmp_path / "run", text, "--tie", "--epochs", 1)
    (tmp_path / "other.txt").write_text("A cat ate the mat. The rat sat on the hat. Where is the dog? " * 9)
    outcome = tidegate("inspect", tmp_path / "run", tmp_path / "other.txt", "--quick", "--out", tmp_path / "page")
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "page" / "inspect.html").is_file()


def test_a_word_model_is_resumed_with_the_same_numbers(tidegate, text, tmp_path):
    trained(tidegate, tmp_path / "one", text, "--embedding", 5, "--epochs", 2, "--schedule", "constant")
    trained(tidegate, tmp_path / "two", text, "--embedding", 5, "--epochs", 1, "--schedule", "constant")
    assert tidegate("train", "--resume", tmp_path / "two", "--embedding", 5, "--epochs", 2).code == 0
    one, two = (json.loads((tmp_path / name / "summary.json").read_text()) for name in ("one", "two"))
    assert (one["heldout_bpc"], one["train_bpc"]) == (two["heldout_bpc"], two["train_bpc"])
    other = tidegate("train", "--resume", tmp_path / "two", "--embedding", 6, "--epochs", 3)
    assert "was trained with --embedding 5, got 6. Leave the option out" in other.err
    tied = tidegate("train", "--resume", tmp_path / "two", "--tie", "--epochs", 3)
    assert "was trained with --tie False, got True" in tied.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--tie", "--embedding", 5), "--tie needs an --embedding of the size of --hidden, 8, "),
        (("--tie", "--embedding", 0), "--tie needs an --embedding of the size of --hidden, 8, "),
        (("--embedding", -1), "--embedding must be an integer of at least 0 (0: none), got -1."),
        (("--embedding", "many"), "expected an integer such as 64, got 'many'."),
    ],
)
def test_bad_sizes_are_refused_in_one_sentence(tidegate, text, options, message):
    outcome = tidegate("train", text, *SMALL, "--epochs", 1, *options)
    assert outcome.code != 0
    assert message in " ".join(outcome.err.replace("│", " ").split())
    assert "Traceback" not in outcome.err


def test_an_embedding_of_zero_is_a_model_without(tidegate, text, tmp_path):
    trained(tidegate, tmp_path / "none", text, "--epochs", 1)
    trained(tidegate, tmp_path / "zero", text, "--epochs", 1, "--embedding", 0)
    one, two = (load(tmp_path / name).model.state_dict() for name in ("none", "zero"))
    assert one.keys() == two.keys()
    assert all(one[name].equal(two[name]) for name in one)
