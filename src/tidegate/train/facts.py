"""What a checkpoint records in addition to its tensors.

A run folder may come from anyone, so everything is checked when it is read. It contains no code.

model        {"cell": display name, "step": the traced equations as JSON, "hidden", "layers", "dropout"}, and of a model
             with a table of token vectors {"embedding", "tie"}
vocabulary   {"kind", "tokens"}                preprocess   how the text became tokens
recipe       the settings of the run           text         {"source", "name", "sha256", "size"}
baseline     the n-gram baseline               versions     of Tidegate, torch, NumPy and Python
position     steps and epochs completed        optimizer, state   as `tidegate.train.snapshot` writes them

A model that was saved from Python has no recipe, text, baseline or position. Checkpoints of version 0.1 have no model:
in these the recipe names the cell.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.calculus import Step, trace
from tidegate.calculus.serial import dumps, loads
from tidegate.cells import CELLS
from tidegate.errors import ArgumentError, CheckpointError, DataError, EquationError
from tidegate.text import Baseline, Vocabulary
from tidegate.train.model import LanguageModel
from tidegate.train.position import Best
from tidegate.train.recipe import Recipe


@dataclass(frozen=True)
class ModelFacts:
    """The arguments that a language model is built from, except its vocabulary. `cell` is only a display name."""

    cell: str
    step: Step
    hidden: int
    layers: int
    dropout: float
    embedding: int | None = None
    tie: bool = False

    def to_json(self) -> dict[str, Any]:
        embedded = {} if self.embedding is None else {"embedding": self.embedding, "tie": self.tie}
        return {
            "cell": self.cell, "step": dumps(self.step), "hidden": self.hidden, "layers": self.layers,
            "dropout": self.dropout, **embedded,
        }  # fmt: skip

    def build(self, vocabulary: int, engine: str) -> LanguageModel:
        """A model with new weights."""
        return LanguageModel(
            self.step, vocabulary, self.hidden, layers=self.layers, engine=engine, dropout=self.dropout,
            embedding=self.embedding, tie=self.tie,
        )  # fmt: skip


@dataclass(frozen=True)
class Facts:
    """The facts of one checkpoint. `raw` is the JSON that they were read from; facts that were not saved are None."""

    model: ModelFacts
    vocabulary: Vocabulary
    preprocess: str
    recipe: Recipe | None
    text: Mapping[str, Any] | None
    baseline: Baseline | None
    best: Best | None
    epochs: float | None
    step: int | None
    raw: Mapping[str, Any]


def read_facts(raw: Mapping[str, Any], where: str) -> Facts:
    """Read and check the facts of the checkpoint `where`. Raises CheckpointError where they are not valid."""
    try:
        recipe = Recipe(**raw["recipe"]) if raw.get("recipe") is not None else None
        position = raw.get("position") or {}
        return Facts(
            model=read_model(raw, recipe, where),
            vocabulary=Vocabulary.from_json(raw["vocabulary"]),
            preprocess=str(raw["preprocess"] if recipe is None else recipe.preprocess),
            recipe=recipe,
            text=read_text(raw.get("text")),
            baseline=read_baseline(raw),
            best=Best(**position["best"]) if position.get("best") else None,
            epochs=float(position["epochs"]) if position else None,
            step=int(position["step"]) if position else None,
            raw=raw,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, EquationError | ArgumentError | DataError):
            reason = str(error)
        elif isinstance(error, KeyError):
            reason = f"{error} is missing"
        else:
            reason = f"{type(error).__name__}: {error}"
        raise CheckpointError(
            f"{where} does not contain valid facts of this version ({reason.rstrip('.')}). Restore the file, or "
            "train again."
        ) from error


def read_model(raw: Mapping[str, Any], recipe: Recipe | None, where: str) -> ModelFacts:
    found = raw.get("model")
    if found is not None:
        numbers = {name: found[name] for name in ("hidden", "layers")}
        if not all(isinstance(n, int) and 0 < n < 2**31 for n in numbers.values()) or not 0 <= found["dropout"] < 1:
            raise ValueError(f"a model with {numbers} and dropout {found['dropout']!r}")
        embedding, tie = found.get("embedding"), found.get("tie", False)
        sound = embedding is None or (type(embedding) is int and 0 < embedding < 2**31)
        if not sound or type(tie) is not bool or (tie and embedding != found["hidden"]):
            raise ValueError(f"a model of {found['hidden']!r} units with embedding {embedding!r} and tie {tie!r}")
        return ModelFacts(
            str(found["cell"]), loads(found["step"]), found["hidden"], found["layers"], float(found["dropout"]),
            embedding, tie,
        )  # fmt: skip
    if recipe is None:
        raise KeyError("model")
    if recipe.cell not in CELLS:
        raise CheckpointError(
            f"{where} was written by version 0.1, which kept the equations of the cell {recipe.cell} as Python code in "
            "the run folder. Code from a run folder is not executed: check that file, then train again with "
            "--cell FILE.py:CLASS."
        )
    return ModelFacts(recipe.cell, trace(CELLS[recipe.cell]), recipe.hidden, recipe.layers, recipe.dropout)


def read_text(found: Any) -> dict[str, Any] | None:
    if found is None:
        return None
    return {name: str(found[name]) for name in ("source", "name", "sha256")} | {"size": int(found["size"])}


def read_baseline(raw: Mapping[str, Any]) -> Baseline | None:
    found = raw.get("baseline", raw.get("ngram"))  # its name in version 0.1
    if found is None:
        return None
    numbers = {name: float(found[name]) for name in ("nats", "bpc")}
    return Baseline(
        **found | numbers | {"order": int(found["order"]), "by_order": tuple(map(float, found["by_order"]))}
    )
