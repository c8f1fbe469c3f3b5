import json
from dataclasses import asdict, replace

import pytest

from tidegate.calculus import trace
from tidegate.calculus.serial import dumps
from tidegate.cells import CELLS, Cell
from tidegate.cells.functions import sigmoid, tanh
from tidegate.errors import CheckpointError
from tidegate.text import Baseline, Vocabulary
from tidegate.train.facts import ModelFacts, read_facts
from tidegate.train.model import LanguageModel
from tidegate.train.recipe import Recipe


class Own(Cell):
    gates = ("f", "n")
    state = ("h",)

    def equations(a, U, h):
        f = sigmoid(a.f + U.f(h))
        n = tanh(a.n + U.n(f * h))
        return (f * h + (1 - f) * n,), (f, n)


def raw(**changes):
    """The facts of a small run as its checkpoint holds them."""
    facts = {
        "model": ModelFacts("mine.py:Own", trace(Own), 8, 1, 0.1).to_json(),
        "recipe": asdict(Recipe(cell="mine.py:Own", hidden=8, epochs=3)),
        "text": {"source": "/a/cats.txt", "name": "cats.txt", "sha256": "0" * 64, "size": 5},
        "vocabulary": Vocabulary.build("abc").to_json(),
        "baseline": asdict(Baseline(1, 2.0, 2.9, (3.0, 2.0))),
        "position": {"epochs": 2.5, "step": 7, "best": {"step": 5, "epochs": 2, "heldout_ppl": 8, "heldout_bpc": 3}},
    }
    return json.loads(json.dumps(facts | changes))


def test_facts_that_are_written_are_read():
    found = read_facts(raw(), "last")
    assert found.model == ModelFacts("mine.py:Own", trace(Own), 8, 1, 0.1)
    assert found.recipe == Recipe(cell="mine.py:Own", hidden=8, epochs=3)
    assert found.vocabulary == Vocabulary.build("abc")
    assert found.baseline == Baseline(1, 2.0, 2.9, (3.0, 2.0))
    assert (found.epochs, found.step, found.best.heldout_bpc) == (2.5, 7, 3)


@pytest.mark.parametrize("cell", [*CELLS.values(), Own], ids=lambda cell: cell.__name__)
def test_a_model_from_its_facts_is_the_one_from_its_cell(cell):
    facts = ModelFacts("any", trace(cell), 4, 2, 0.2)
    again = read_facts(raw(model=json.loads(json.dumps(facts.to_json()))), "last").model
    ours, twin = again.build(6, "auto"), LanguageModel(cell, 6, 4, layers=2, dropout=0.2)
    assert repr(ours) == repr(twin)
    assert {n: p.shape for n, p in ours.state_dict().items()} == {n: p.shape for n, p in twin.state_dict().items()}


def test_a_checkpoint_of_version_0_1_is_read_where_its_cell_is_built_in():
    old = raw(recipe=asdict(Recipe(cell="lstm", hidden=9, layers=2, epochs=3)))
    del old["model"], old["recipe"]["device"]
    old["ngram"] = old.pop("baseline")
    found = read_facts(old, "last")
    assert found.model == ModelFacts("lstm", trace(CELLS["lstm"]), 9, 2, 0.1)
    assert found.baseline == Baseline(1, 2.0, 2.9, (3.0, 2.0))


def test_a_checkpoint_of_version_0_1_with_a_cell_as_code_is_refused_with_what_to_do():
    old = raw()
    del old["model"]
    with pytest.raises(CheckpointError, match=r"Code from a run folder is not executed: .* --cell FILE.py:CLASS"):
        read_facts(old, "last.safetensors")


def changed(step, **fields):
    """The JSON of a step with other fields."""
    return json.dumps(json.loads(dumps(step)) | fields)


MODEL = raw()["model"]
TAMPERED = {
    "no model and no recipe": {"model": None, "recipe": None},
    "a step that is no JSON": {"model": MODEL | {"step": "__import__('os').system('touch pwned')"}},
    "an unknown operation": {
        "model": MODEL | {"step": changed(trace(Own), nodes=[["leaf", "input", "f"], ["__import__", 0]])}
    },
    "a name that is an expression": {"model": MODEL | {"step": changed(trace(Own), name="__import__('os')")}},
    "a step that is a list": {"model": MODEL | {"step": [1]}},
    "a size that is text": {"model": MODEL | {"hidden": "8"}},
    "a size below one": {"model": MODEL | {"layers": 0}},
    "a dropout above one": {"model": MODEL | {"dropout": 1.5}},
    "a model that is a list": {"model": [1]},
    "an unknown field of the recipe": {"recipe": {"cell": "gru", "epochs": 1, "shell": "rm"}},
    "a recipe that no run can have": {"recipe": {"cell": "gru", "epochs": 0}},
    "a vocabulary that is text": {"vocabulary": "abc"},
    "a baseline without its order": {"baseline": {"nats": 1.0, "bpc": 1.0, "by_order": []}},
    "a baseline whose figures are words": {"baseline": {"order": 1, "nats": "x", "bpc": 1.0, "by_order": []}},
    "a position that is a number": {"position": 5},
    "a text without a hash": {"text": {"source": "-", "name": "-", "size": 1}},
}


@pytest.mark.parametrize("changes", TAMPERED.values(), ids=TAMPERED)
def test_invalid_facts_are_refused_and_execute_nothing(changes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=r"last.safetensors does not contain valid facts of this version"):
        read_facts(raw(**changes), "last.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_the_facts_of_a_model_from_python_have_no_run():
    found = read_facts({"model": MODEL, "vocabulary": raw()["vocabulary"], "preprocess": "letters"}, "best")
    assert (found.recipe, found.text, found.baseline, found.best, found.epochs, found.step) == (None,) * 6
    assert found.preprocess == "letters"
    assert replace(found.model, hidden=9) != found.model
