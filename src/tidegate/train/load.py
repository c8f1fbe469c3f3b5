"""Load a trained model from its run folder: `tidegate.load`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from tidegate.errors import CheckpointError
from tidegate.text import Baseline, Vocabulary
from tidegate.train import checkpoint, folder
from tidegate.train.device import find_device
from tidegate.train.facts import Facts, read_facts
from tidegate.train.folder import RunFolder
from tidegate.train.model import LanguageModel, load_weights, model_weights
from tidegate.train.position import Best
from tidegate.train.recipe import Recipe


@dataclass(frozen=True)
class Trained:
    """A trained language model.

    model: in evaluation mode, on the requested device.   vocabulary: its tokens and their indices.
    recipe: the settings of the run.   baseline: the n-gram baseline on the held-out text: its order, bpc and ppl.
    best: the lowest held-out figures up to this checkpoint: step, epochs, heldout_ppl, heldout_bpc.
    epochs, step: when this checkpoint was written.   facts: everything that it records.

    A model that `tidegate.save` wrote has None for recipe, baseline, best, epochs and step; a run before its first
    evaluation has None for best.
    """

    model: LanguageModel
    vocabulary: Vocabulary
    recipe: Recipe | None
    baseline: Baseline | None
    best: Best | None
    epochs: float | None
    step: int | None
    facts: Facts

    def _repr_html_(self) -> str:
        from tidegate.train.display import trained_html

        return trained_html(self)


def load(run: str | Path, checkpoint: str = "best", *, device: str = "cpu", engine: str | None = None) -> Trained:
    """The model that `tidegate train` or `tidegate.save` wrote into the folder `run`. No code in it is executed.

        trained = tidegate.load("runs/builtin-gru-1")
        trained.best.heldout_bpc, trained.baseline.bpc            # bits per held-out character
        x = trained.vocabulary.encode("The ")                     # token indices (N,), of a character model
        scores, state = trained.model(x[:, None])                 # (N, 1, V), and the state after the last token

    `checkpoint` is "best" (on the held-out text) or "last"; `device` is "cpu", "cuda", "mps" or "auto"; `engine` None
    uses that of the run. Raises CheckpointError where the run or its checkpoint is missing or damaged, or where the
    checkpoint belongs to another run, and ArgumentError for a device that is not available.
    """
    where = find_device(device)
    found, tensors = read_checkpoint(folder.open_run(Path(run)), checkpoint)
    engine = engine or (found.recipe.engine if found.recipe else "auto")
    model = found.model.build(len(found.vocabulary), engine)
    weights = model_weights(tensors)
    model.to(where, weights[output_weight(found)].dtype)
    load_weights(model, weights)
    model.eval()
    return Trained(model, found.vocabulary, found.recipe, found.baseline, found.best, found.epochs, found.step, found)


def read_checkpoint(run: RunFolder, which: str) -> tuple[Facts, dict[str, Tensor]]:
    """The checkpoint `which` of a run, "last" or "best". Raises CheckpointError where it is not valid for this run."""
    path = run.checkpoint(which)
    saved = checkpoint.load(path)
    facts = read_facts(saved.facts, str(path))
    check_sizes(facts, saved.tensors, path)
    check_same_run(facts, run, path)
    return facts, saved.tensors


def check_sizes(facts: Facts, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raise CheckpointError unless the recorded sizes match the weights. Checked before a model is allocated."""
    V, H, layers = len(facts.vocabulary), facts.model.hidden, facts.model.layers
    weights, name = model_weights(tensors), output_weight(facts)
    head = tuple(weights[name].shape) if name in weights else "none"
    if head != (V, H) or f"recurrent.weight_hh_l{layers - 1}" not in weights:
        raise CheckpointError(
            f"{path} does not hold the model that it describes ({facts.model.cell}, {H} units, {layers} layers, {V} "
            f"tokens): its {name} is {head}. Restore the file, or train again."
        )


def output_weight(facts: Facts) -> str:
    """The name of the matrix of the output layer."""
    return "embedding.weight" if facts.model.tie else "head.weight"


def check_same_run(facts: Facts, run: RunFolder, path: Path) -> None:
    """Raise CheckpointError where run.json describes another run than the checkpoint, as after copying files."""
    described = read_description(run)
    if described is None:
        return
    theirs = read_facts(described, str(run.description))
    pairs = {
        "cell": (facts.model.cell, theirs.model.cell),
        "equations": (facts.model.step, theirs.model.step),
        "hidden": (facts.model.hidden, theirs.model.hidden),
        "layers": (facts.model.layers, theirs.model.layers),
        "embedding": (facts.model.embedding, theirs.model.embedding),
        "tie": (facts.model.tie, theirs.model.tie),
        "text": (facts.text and facts.text["sha256"][:12], theirs.text and theirs.text["sha256"][:12]),
        "vocabulary": (facts.vocabulary, theirs.vocabulary),
    }
    for name, (got, expected) in pairs.items():
        if got != expected:
            detail = f"{name} {got}, expected {expected} as in run.json" if name != "equations" else (
                "its equations are not those in run.json"
            )  # fmt: skip
            raise CheckpointError(
                f"{path} is the checkpoint of another run: {detail}. Put the run's own checkpoint back, or name the "
                "folder that this one came from."
            )


def read_description(run: RunFolder) -> dict[str, Any] | None:
    """The content of run.json; None where there is none. Raises CheckpointError where it is not JSON."""
    try:
        found = json.loads(run.description.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CheckpointError(f"{run.description} cannot be read: {error.strerror}. Make it readable, or remove it: "
                              "the checkpoints are complete without it.") from error  # fmt: skip
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{run.description} is damaged ({error}). Restore or remove it: the checkpoints are "
                              "complete without it.") from error  # fmt: skip
    if not isinstance(found, dict):
        raise CheckpointError(f"{run.description} is damaged: expected a JSON object. Restore or remove it.")
    return found
