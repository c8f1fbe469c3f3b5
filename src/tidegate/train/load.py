"""A trained model out of a run's folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate.text import Bar, Vocabulary
from tidegate.train import checkpoint, folder, snapshot
from tidegate.train.model import LanguageModel
from tidegate.train.recipe import Recipe


@dataclass(frozen=True)
class Trained:
    """A model in evaluation mode, its vocabulary and recipe, and the facts of its checkpoint."""

    model: LanguageModel
    vocabulary: Vocabulary
    recipe: Recipe
    bar: Bar
    facts: dict[str, Any]


def load(path: Path, which: str = "best") -> Trained:
    """The model of the run in `path` at its checkpoint "best" or "last".

    Raises CheckpointError where the run or the checkpoint is missing or damaged.
    """
    run = folder.open_run(path)
    saved = checkpoint.load(run.checkpoint(which))
    recipe = Recipe(**saved.facts["recipe"])
    vocabulary = Vocabulary.from_json(saved.facts["vocabulary"])
    model = LanguageModel(
        folder.kept_cell(recipe.cell, run), len(vocabulary), recipe.hidden,
        layers=recipe.layers, engine=recipe.engine, dropout=recipe.dropout,
    )  # fmt: skip
    snapshot.restore_model(model, saved.tensors)
    model.eval()
    return Trained(model, vocabulary, recipe, stored_bar(saved.facts), saved.facts)


def stored_bar(facts: dict[str, Any]) -> Bar:
    """The n-gram bar that a checkpoint carries."""
    return Bar(**facts["ngram"] | {"by_order": tuple(facts["ngram"]["by_order"])})
