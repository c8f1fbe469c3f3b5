"""Evaluation of a run's model on its held-out text or on another text."""

import sys
import time
from pathlib import Path
from typing import Any

from tidegate.errors import ArgumentError, CheckpointError, DataError
from tidegate.nn import stream
from tidegate.text import Baseline, Dataset, Part, Progress, load_text, make_part, ngram_baseline
from tidegate.train.evaluate import evaluate
from tidegate.train.job import own_source, read, same_text
from tidegate.train.load import Trained, load


def evaluate_run(
    path: Path,
    source: str | None,
    *,
    which: str = "best",
    streams: int | None = None,
    encoding: str | None = None,
    device: str = "auto",
    engine: str | None = None,
    dtype: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Score the run's held-out text, or all of the text `source`. Returns the results as JSON values.

    For another text, the n-gram baseline is still counted on the run's training text, on which the model was trained;
    where that text is not available, `baseline` is None and `baseline_missing` says why. Raises CheckpointError where
    `source` is None and the text of the run has changed since the training.

    With a `dtype` the model runs with its weights stored in that type, on the CPU, and `bpc_more` is how many more bits
    per character it then scores than with its own weights.
    """
    if streams is not None and streams < 1:
        raise ArgumentError(f"`streams` must be an integer of at least 1, got {streams}.")
    if dtype is not None and device not in ("auto", "cpu"):
        raise ArgumentError(f"`dtype` is for the CPU, got the device {device}. Leave one of them out.")
    trained = load(path, which, device=device if dtype is None else "cpu", engine=engine)
    if dtype is not None:
        stream(trained.model, dtype=dtype)  # refuses a dtype before the text is read
    if source is None:
        if encoding is not None:
            raise ArgumentError("`encoding` is only for another text; the run's own text has the run's encoding.")
        dataset = training_text(trained, path, progress)
        text, part, name = dataset.text, dataset.heldout, f"{evaluated(dataset)} of {dataset.text.name}"
        baseline, missing = trained.baseline, None
    else:
        encoding = encoding or (trained.recipe.encoding if trained.recipe else "utf-8")
        text = load_text(source, encoding=encoding, progress=progress)
        part = make_part(text, trained.vocabulary, preprocessing=trained.facts.preprocess, progress=progress)
        name = text.name
        baseline, missing = baseline_of(part, trained, path, piped=source == "-", progress=progress)
    begin = time.perf_counter()
    score = evaluate(trained.model, part, streams=streams, dtype=dtype)
    seconds = time.perf_counter() - begin
    more = None if dtype is None else score.bpc - evaluate(trained.model, part, streams=streams).bpc
    return {
        "cell": trained.facts.model.cell,
        "checkpoint": which,
        "epochs": trained.epochs,
        "step": trained.step,
        "text": name,
        "data_sha256": text.sha256,
        "ppl": score.perplexity,
        "bpc": score.bpc,
        "dtype": dtype,
        "bpc_more": more,
        "tokens": score.tokens,
        "tokens_are": trained.vocabulary.kind,
        "characters": part.characters,
        "unknown": part.unknown,
        "streams": score.streams,
        "baseline": baseline and baseline.figures(),
        "baseline_missing": missing,
        "device": trained.model.head.weight.device.type,
        "seconds": seconds,
    }


def evaluated(dataset: Dataset) -> str:
    """A description of the part of the text that is evaluated."""
    if len(dataset.heldout) == dataset.heldout_of:
        return "the held-out text"
    return f"the first {len(dataset.heldout):,} of {dataset.heldout_of:,} held-out tokens"


def training_text(trained: Trained, path: Path, progress: Progress | None) -> Dataset:
    """The data set of a run: its training and held-out text."""
    facts = trained.facts
    if facts.recipe is None or facts.text is None:
        raise DataError(f"the model in {path} was saved from Python, without a text. Name one: "
                        f"tidegate eval {path} FILE, or tidegate inspect {path} FILE.")  # fmt: skip
    dataset = read(facts.recipe, own_source(facts.text), progress)
    same_text(dataset, facts, dataset.text.name)
    return dataset


def baseline_of(
    part: Part, trained: Trained, path: Path, *, piped: bool, progress: Progress | None
) -> tuple[Baseline | None, str | None]:
    """The score on `part` of the n-gram baseline counted on the run's training text; or None and the reason.

    `piped`: `part` was read from standard input, so the training text cannot be read from there too.
    """
    text = trained.facts.text
    if text is None:
        return None, "the model was saved from Python, without its training text"
    if text["source"] == "-" and (piped or sys.stdin.isatty()):
        return None, "the run's training text was read from standard input and was not saved"
    try:
        dataset = training_text(trained, path, progress)
    except (DataError, CheckpointError) as error:
        return None, str(error)
    return ngram_baseline(dataset.train, part, len(trained.vocabulary), progress=progress), None
