"""Small trainers on a small text."""

import pytest
import torch
from rich.console import Console

from tidegate.calculus import trace
from tidegate.cells import CELLS
from tidegate.text import Text, make_dataset
from tidegate.train.facts import ModelFacts
from tidegate.train.log import Log
from tidegate.train.loop import Trainer
from tidegate.train.recipe import Recipe
from tidegate.train.status import Status

SENTENCES = "The cat sat on the mat. A dog ate the rat! Where is the hat? "


@pytest.fixture
def dataset():
    return make_dataset(Text.of("cats", SENTENCES * 20), heldout=0.1)


@pytest.fixture
def trainer_of(dataset, tmp_path):
    """A trainer by its recipe's fields; its checkpoints are kept in the list `saved` of the trainer."""

    def make(**fields) -> Trainer:
        cell = fields.get("cell", "gru")
        if not isinstance(cell, str):  # a class of the test
            fields["cell"] = cell.__name__
        recipe = Recipe(**{"hidden": 8, "batch": 4, "steps": 10, "epochs": 3, "device": "cpu"} | fields)
        facts = ModelFacts(
            recipe.cell, trace(CELLS.get(cell, cell)), recipe.hidden, recipe.layers, recipe.dropout,
            recipe.embedding or None, recipe.tie,
        )  # fmt: skip
        saved: list[str] = []
        trainer = Trainer(
            recipe,
            dataset,
            facts,
            log=Log(tmp_path / "log.jsonl"),
            status=Status(Console(quiet=True), recipe.tokens),
            save=lambda _, which: saved.append(which),
        )
        trainer.saved = saved
        return trainer

    return make


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Tiny tensors gain nothing from threads, and lose much where tests run side by side."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
