"""A trained model out of a run's folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate.text import Baseline, Vocabulary
from tidegate.train import checkpoint, folder, snapshot
from tidegate.train.model import LanguageModel
from tidegate.train.recipe import Recipe


@dataclass(frozen=True)
class Trained:
    """A model in evaluation mode, its vocabulary and recipe, and the facts of its checkpoint."""

    model: LanguageModel
    vocabulary: Vocabulary
    recipe: Recipe
    baseline: Baseline
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
    return Trained(model, vocabulary, recipe, stored_baseline(saved.facts), saved.facts)


def stored_baseline(facts: dict[str, Any]) -> Baseline:
    """The n-gram baseline that a checkpoint carries."""
    stored = facts["baseline"] if "baseline" in facts else facts["ngram"]  # as version 0.1 wrote it
    return Baseline(**stored | {"by_order": tuple(stored["by_order"])})
