"""Evaluation of a run's model on its held-out text or on another."""

import sys
import time
from pathlib import Path
from typing import Any

from tidegate.errors import ArgumentError, CheckpointError, DataError
from tidegate.text import Baseline, Dataset, Part, load_text, make_part, ngram_baseline
from tidegate.train.evaluate import evaluate
from tidegate.train.job import own_source, read, same_text
from tidegate.train.load import Trained, load


def evaluate_run(path: Path, source: str | None, *, which: str, streams: int | None) -> dict[str, Any]:
    """Score the run's held-out text, or the whole of the text `source`; the figures as JSON values.

    The n-gram baseline of another text is counted anew on the run's training text; where that text is not available,
    `baseline` is None and `baseline_missing` says why. Raises CheckpointError where the run's own held-out
    text is asked for and its text is no longer the one that it was trained on.
    """
    if streams is not None and streams < 1:
        raise ArgumentError(f"--streams must be an integer of at least 1, got {streams}.")
    trained = load(path, which)
    recipe, facts = trained.recipe, trained.facts
    if source is None:
        dataset = training_text(trained)
        text, part, name = dataset.text, dataset.heldout, f"the held-out text of {dataset.text.name}"
        baseline, missing = trained.baseline, None
    else:
        text = load_text(source, encoding=recipe.encoding)
        part, name = make_part(text, trained.vocabulary, preprocessing=recipe.preprocess), text.name
        baseline, missing = baseline_of(part, trained, piped=source == "-")
    begin = time.perf_counter()
    score = evaluate(trained.model, part, streams=streams)
    seconds = time.perf_counter() - begin
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
        "baseline": baseline and baseline.figures(),
        "baseline_missing": missing,
        "seconds": seconds,
    }


def training_text(trained: Trained) -> Dataset:
    """The text of a run, in its two parts."""
    dataset = read(trained.recipe, own_source(trained.facts))
    same_text(dataset, trained.facts, dataset.text.name)
    return dataset


def baseline_of(part: Part, trained: Trained, *, piped: bool) -> tuple[Baseline | None, str | None]:
    """What counts on the run's training text pay for `part`; or None, and why.

    `piped` tells that standard input gave `part`: it cannot give the training text too.
    """
    if trained.facts["text"]["source"] == "-" and (piped or sys.stdin.isatty()):
        return None, "the run's training text came through standard input and was not kept"
    try:
        dataset = training_text(trained)
    except (DataError, CheckpointError) as error:
        return None, str(error)
    return ngram_baseline(dataset.train, part, len(trained.vocabulary)), None
