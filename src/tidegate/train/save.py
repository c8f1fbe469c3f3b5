"""Save a model that was trained in Python as a run folder: `tidegate.save`."""

from pathlib import Path
from typing import Any

from tidegate.errors import ArgumentError
from tidegate.text import Vocabulary
from tidegate.train import checkpoint, folder
from tidegate.train.checkpoint import Checkpoint
from tidegate.train.facts import ModelFacts
from tidegate.train.model import LanguageModel, cell_name, weight_tensors
from tidegate.train.versions import versions


def save(path: str | Path, model: LanguageModel, vocabulary: Vocabulary, *, preprocess: str = "raw") -> None:
    """Write a trained model into the new folder `path`, for `tidegate.load`, `tidegate eval` and `tidegate sample`.

        vocabulary = tidegate.text.Vocabulary.build(text)         # of characters
        model = tidegate.LanguageModel("gru", len(vocabulary), 256)
        ...                                                       # your own training loop
        tidegate.save("runs/mine", model, vocabulary)

    `preprocess` says how a text becomes tokens, "raw" or "letters"; the kind of token is the vocabulary's. The folder
    contains no text, so `tidegate eval` must be given one, and no optimiser state, so the run cannot be resumed.

    Raises ArgumentError where the vocabulary does not fit the model, a weight is not finite, or `path` already contains
    a run, and CheckpointError where a file cannot be written.
    """
    if not isinstance(model, LanguageModel):
        raise ArgumentError(f"`model` must be a tidegate.LanguageModel, got {type(model).__name__}. A layer or another "
                            "module is saved with torch.save(module.state_dict(), path).")  # fmt: skip
    if len(vocabulary) != model.head.out_features:
        raise ArgumentError(f"`vocabulary` must have the {model.head.out_features} tokens of the model, got "
                            f"{len(vocabulary)}.")  # fmt: skip
    if preprocess not in ("raw", "letters"):
        raise ArgumentError(f"`preprocess` must be one of raw, letters, got {preprocess!r}.")
    for name, value in model.state_dict().items():
        if not value.isfinite().all():
            raise ArgumentError(f"`model` must have finite weights, got NaN or infinity in {name}.")
    run = folder.create(Path(path), "`path`")
    facts = {
        "model": describe(model).to_json(),
        "vocabulary": vocabulary.to_json(),
        "preprocess": preprocess,
        "versions": versions(),
    }
    run.write_json("run.json", facts)
    checkpoint.save(run.checkpoint("best"), Checkpoint(weight_tensors(model), facts))


def describe(model: LanguageModel) -> ModelFacts:
    """The arguments that the model was built from."""
    layer: Any = model.recurrent
    return ModelFacts(
        cell_name(model.step) or model.step.name, model.step, layer.hidden_size, layer.num_layers, model.dropout.p,
        None if model.embedding is None else model.embedding.embedding_dim, model.tied,
    )  # fmt: skip
