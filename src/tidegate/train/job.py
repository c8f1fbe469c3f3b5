"""A run from its beginning or from its checkpoint to its summary."""

import dataclasses
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from tidegate.errors import ArgumentError, CheckpointError, DataError
from tidegate.text import (
    Baseline,
    ConsoleProgress,
    Dataset,
    Progress,
    Vocabulary,
    load_text,
    make_dataset,
    ngram_baseline,
)
from tidegate.train import checkpoint, folder, snapshot, summary
from tidegate.train.checkpoint import Checkpoint
from tidegate.train.folder import RunFolder
from tidegate.train.interrupt import Interrupt
from tidegate.train.load import stored_baseline
from tidegate.train.log import Log
from tidegate.train.loop import Stopped, Trainer
from tidegate.train.recipe import Recipe
from tidegate.train.status import Status

CHANGEABLE = ("epochs", "minutes", "lr", "clip", "eval_every", "engine")  # by --resume; all else is the run's own


@dataclass(frozen=True)
class Job:
    """What is settled about a run before its first step. `source` is the text as `load_text` takes it."""

    recipe: Recipe
    source: str
    dataset: Dataset
    baseline: Baseline
    folder: RunFolder
    status: Status

    def trainer(self, cell: str) -> Trainer:
        """A trainer at step 0 whose checkpoints go to the run's folder."""
        return Trainer(self.recipe, self.dataset, cell, log=Log(self.folder.log), status=self.status, save=self.save)

    def save(self, trainer: Trainer, which: str) -> None:
        """Write the checkpoint `which`, "last" or "best"."""
        now = snapshot.capture(trainer)
        checkpoint.save(self.folder.checkpoint(which), Checkpoint(now.tensors, self.facts() | now.facts))

    def facts(self) -> dict[str, Any]:
        """What a checkpoint tells of its run, beside where it stands."""
        text = self.dataset.text
        return {
            "recipe": asdict(self.recipe),
            "text": {"source": self.source, "name": text.name, "sha256": text.sha256, "size": text.size},
            "vocabulary": self.dataset.vocabulary.to_json(),
            "baseline": asdict(self.baseline),
            "versions": summary.versions(),
        }

    def run(self, trainer: Trainer) -> "Finished":
        """Train to the end and write summary.json and curves.png; Stopped where the user asks to stop before."""
        with Interrupt() as interrupt, self.status:
            try:
                trainer.train(interrupt)
                if trainer.heldout is None:  # a run that was killed between its last step and its summary
                    trainer.evaluate()
            except KeyboardInterrupt:
                raise Stopped(interrupt.received or signal.SIGINT, self.folder.path, saved=False) from None
        return Finished(self.folder.path, summary.write(self.folder, self.recipe, self.dataset, self.baseline, trainer))


class Finished(NamedTuple):
    """The folder of a run that has reached its end, and its summary."""

    folder: Path
    summary: dict[str, Any]


def start(
    recipe: Recipe,
    source: str,
    out: Path | None,
    *,
    console: Console,
) -> Finished:
    """Train a new model on the text `source` into the folder `out` (None: the next free one under runs/).

    Everything that can be refused is refused before the folder is made.
    """
    if out is not None:
        folder.check_free(out)
    progress = ConsoleProgress(console)
    dataset = read(recipe, source, progress)
    baseline = ngram_baseline(dataset.train, dataset.heldout, len(dataset.vocabulary), progress=progress)
    out = out or folder.next_free(source, recipe.cell)  # now, for another run may have begun meanwhile
    source = source if source == "-" or not Path(source).is_file() else os.path.abspath(source)
    job = Job(recipe, source, dataset, baseline, RunFolder(out), Status(console, recipe.tokens))
    trainer = job.trainer(recipe.cell)
    with folder.create(out).locked():
        folder.check_free(out)  # another process may have been faster
        folder.keep_cell(recipe.cell, job.folder)
        job.folder.write_json("run.json", job.facts())
        job.status.begin(summary.headline(recipe, dataset, baseline, trainer), out)
        return job.run(trainer)


def resume(
    out: Path,
    changes: Mapping[str, Any],
    *,
    source: str | None = None,
    which: str = "last",
    console: Console,
) -> Finished:
    """Go on with the run in `out` from its checkpoint `which`.

    `changes` are recipe fields that were given anew. Raises CheckpointError where one contradicts the run, and where
    the text or its vocabulary is not the run's, naming what differs.
    """
    run = folder.open_run(out)
    with run.locked():
        return go_on(run, changes, source=source, which=which, console=console)


def go_on(run: RunFolder, changes: Mapping[str, Any], *, source: str | None, which: str, console: Console) -> Finished:
    """`resume` in a folder that is ours alone."""
    out = run.path
    saved = checkpoint.load(run.checkpoint(which))
    recipe = changed(Recipe(**saved.facts["recipe"]), changes, out)
    facts = saved.facts
    source = source if source is not None else own_source(facts)
    dataset = read(recipe, source, ConsoleProgress(console))
    same_text(dataset, facts, source)
    baseline = stored_baseline(facts)
    job = Job(recipe, source, dataset, baseline, run, Status(console, recipe.tokens))
    trainer = job.trainer(folder.kept_cell(recipe.cell, run))
    snapshot.restore(trainer, saved)
    if trainer.progress >= 1 and run.summary.is_file():
        raise ArgumentError(
            f"the run in {out} is finished ({summary.length(recipe)}). Give a greater --epochs or --minutes to go on."
        )
    if not run.checkpoint("best").is_file():
        trainer.position.best = None  # the next evaluation makes it anew
    trainer.log.truncate(trainer.position.step)
    job.status.begin(f"Going on at step {trainer.position.step:,}, epoch {trainer.epochs:.2f}.", out)
    return job.run(trainer)


def own_source(facts: Mapping[str, Any]) -> str:
    """The text of a checkpoint as `load_text` takes it. Raises DataError where it is gone or nobody would send it."""
    source = str(facts["text"]["source"])
    if os.path.isabs(source) and not os.path.exists(source):
        raise DataError(
            f"the text of the run is no longer at {source}. Put it back, or name its new place: "
            "tidegate train --resume RUN FILE."
        )
    if source == "-" and sys.stdin.isatty():
        raise DataError(
            f"the text of the run came through standard input and was not kept. Send it again: tidegate ... < FILE, or "
            f"name a file with the same {facts['text']['size']:,} bytes (SHA-256 {facts['text']['sha256'][:12]}...)."
        )
    return source


def read(recipe: Recipe, source: str, progress: Progress | None = None) -> Dataset:
    """The text of a recipe, in its two parts."""
    return make_dataset(
        load_text(source, encoding=recipe.encoding, progress=progress),
        preprocessing=recipe.preprocess,
        tokens=recipe.tokens,
        min_freq=recipe.min_freq,
        first=recipe.first,
        heldout=recipe.heldout,
        progress=progress,
    )


def changed(recipe: Recipe, changes: Mapping[str, Any], out: Path) -> Recipe:
    """The run's recipe with the changes that a run may have. Raises CheckpointError for another."""
    given = {name: value for name, value in changes.items() if value is not None}
    for name, value in given.items():
        own = getattr(recipe, name)
        if name not in CHANGEABLE and value != own:
            raise CheckpointError(
                f"the checkpoint in {out} was trained with --{name.replace('_', '-')} {own}, got {value}. Leave "
                "the option out to go on with this run, or train a new one without --resume."
            )
    if "epochs" in given or "minutes" in given:
        given = {"epochs": None, "minutes": None} | given
    return dataclasses.replace(recipe, **given)


def same_text(dataset: Dataset, facts: Mapping[str, Any], source: str) -> None:
    """Raise CheckpointError unless the text and its vocabulary are those of the checkpoint."""
    text, vocabulary = dataset.text, Vocabulary.from_json(facts["vocabulary"])
    if text.sha256 != facts["text"]["sha256"]:
        raise CheckpointError(
            f"the text of the run has changed: the checkpoint was trained on {facts['text']['name']} with SHA-256 "
            f"{facts['text']['sha256'][:12]}... ({facts['text']['size']:,} bytes), {text.name} has "
            f"{text.sha256[:12]}... ({text.size:,} bytes). Name the same text, or train a new run without --resume."
        )
    if vocabulary != dataset.vocabulary:
        raise CheckpointError(
            f"the vocabulary of the checkpoint has {len(vocabulary)} tokens, that of {source} "
            f"{len(dataset.vocabulary)} or other ones. Train a new run without --resume."
        )
