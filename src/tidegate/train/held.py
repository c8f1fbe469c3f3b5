"""Evaluation of a run's model on its held-out text or on another."""

import time
from pathlib import Path
from typing import Any

from tidegate.errors import ArgumentError
from tidegate.text import load_text, make_part
from tidegate.train.evaluate import evaluate
from tidegate.train.job import read, same_text
from tidegate.train.load import load


def evaluate_run(path: Path, source: str | None, *, which: str, streams: int | None) -> dict[str, Any]:
    """Score the run's held-out text, or the whole of the text `source`; the figures as JSON values.

    The n-gram bar is the run's own and belongs to its held-out text: it is None for another text. Raises
    CheckpointError where the run's text is no longer the one that it was trained on.
    """
    if streams is not None and streams < 1:
        raise ArgumentError(f"--streams must be an integer of at least 1, got {streams}.")
    trained = load(path, which)
    recipe, facts = trained.recipe, trained.facts
    if source is None:
        dataset = read(recipe, facts["text"]["source"])
        same_text(dataset, facts, facts["text"]["source"])
        text, part, name = dataset.text, dataset.heldout, f"the held-out text of {dataset.text.name}"
    else:
        text = load_text(source, encoding=recipe.encoding)
        part, name = make_part(text, trained.vocabulary, preprocessing=recipe.preprocess), text.name
    begin = time.perf_counter()
    score = evaluate(trained.model, part, streams=streams)
    return {
        "cell": recipe.cell,
        "checkpoint": which,
        "epochs": facts["position"]["epochs"],
        "step": facts["position"]["step"],
        "text": name,
        "data_sha256": text.sha256,
        "ppl": score.perplexity,
        "bpc": score.bpc,
        "tokens": score.tokens,
        "tokens_are": recipe.tokens,
        "characters": part.characters,
        "unknown": part.unknown,
        "streams": score.streams,
        "ngram_bpc": None if source else trained.bar.bpc,
        "ngram_order": None if source else trained.bar.order,
        "seconds": time.perf_counter() - begin,
    }
