"""Start a run, or resume one from a checkpoint, and train it to the end."""

import dataclasses
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from tidegate.calculus import trace
from tidegate.errors import ArgumentError, CheckpointError, DataError
from tidegate.nn import find_cell
from tidegate.text import Baseline, ConsoleProgress, Dataset, Progress, load_text, make_dataset, ngram_baseline
from tidegate.train import checkpoint, folder, snapshot, summary
from tidegate.train.checkpoint import Checkpoint
from tidegate.train.device import find_device
from tidegate.train.facts import Facts, ModelFacts
from tidegate.train.folder import RunFolder
from tidegate.train.interrupt import Interrupt
from tidegate.train.load import read_checkpoint
from tidegate.train.log import Log
from tidegate.train.loop import Stopped, Trainer
from tidegate.train.recipe import Recipe
from tidegate.train.status import Status
from tidegate.train.versions import versions

CHANGEABLE = (
    "epochs",
    "minutes",
    "lr",
    "clip",
    "eval_every",
    "engine",
    "device",
    "prompts",
)  # options that --resume may change; the others are fixed


@dataclass(frozen=True)
class Job:
    """Everything about a run that is known before its first step. `source` is the first argument of `load_text`."""

    recipe: Recipe
    source: str
    dataset: Dataset
    baseline: Baseline
    model: ModelFacts
    folder: RunFolder
    status: Status

    def trainer(self) -> Trainer:
        """A trainer at step 0 whose checkpoints go to the run's folder."""
        log = Log(self.folder.log)
        return Trainer(self.recipe, self.dataset, self.model, log=log, status=self.status, save=self.save)

    def save(self, trainer: Trainer, which: str) -> None:
        """Write the checkpoint `which`, "last" or "best"."""
        now = snapshot.capture(trainer)
        checkpoint.save(self.folder.checkpoint(which), Checkpoint(now.tensors, self.facts() | now.facts))

    def facts(self) -> dict[str, Any]:
        """What a checkpoint records about its run, except its position: see `tidegate.train.facts`."""
        text = self.dataset.text
        return {
            "model": self.model.to_json(),
            "recipe": asdict(self.recipe),
            "text": {"source": self.source, "name": text.name, "sha256": text.sha256, "size": text.size},
            "vocabulary": self.dataset.vocabulary.to_json(),
            "baseline": asdict(self.baseline),
            "versions": versions(),
        }

    def run(self, trainer: Trainer) -> "Finished":
        """Train to the end and write summary.json and curves.png. Raises Stopped where a signal ends the run early."""
        with Interrupt() as interrupt, self.status:
            try:
                trainer.train(interrupt)
                if trainer.heldout is None:  # the run was killed between its last step and its summary
                    trainer.evaluate()
            except KeyboardInterrupt:
                raise Stopped(interrupt.received or signal.SIGINT, self.folder.path, saved=False) from None
        return Finished(self.folder.path, summary.write(self.folder, self.recipe, self.dataset, self.baseline, trainer))


class Finished(NamedTuple):
    """The folder and the summary of a finished run."""

    folder: Path
    summary: dict[str, Any]

    def _repr_html_(self) -> str:
        from tidegate.train.display import finished_html

        return finished_html(self)


def start(
    recipe: Recipe,
    source: str,
    out: Path | None,
    *,
    console: Console,
) -> Finished:
    """Train a new model on the text `source` into the folder `out` (None: the next free one under runs/).

    All options and the text are checked before the folder is made.
    """
    model = ModelFacts(
        recipe.cell, trace(find_cell(recipe.cell)), recipe.hidden, recipe.layers, recipe.dropout,
        recipe.embedding or None, recipe.tie,
    )  # fmt: skip
    find_device(recipe.device)
    if out is not None:
        folder.check_free(out)
    progress = ConsoleProgress(console)
    dataset = read(recipe, source, progress)
    baseline = ngram_baseline(dataset.train, dataset.heldout, len(dataset.vocabulary), progress=progress)
    out = out or folder.next_free(source, recipe.cell)  # chosen late, since another run may have started meanwhile
    source = source if source == "-" or not Path(source).is_file() else os.path.abspath(source)
    job = Job(recipe, source, dataset, baseline, model, RunFolder(out), Status(console, recipe.tokens))
    trainer = job.trainer()
    with folder.create(out).locked():
        folder.check_free(out)  # another process may have used it meanwhile
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
    """Continue the run in `out` from its checkpoint `which`.

    `changes` has the recipe fields that the user gave. Raises CheckpointError, with the difference, where one of them
    cannot be changed, or where the text or its vocabulary is not that of the run.
    """
    run = folder.open_run(out)
    with run.locked():
        return go_on(run, changes, source=source, which=which, console=console)


def go_on(run: RunFolder, changes: Mapping[str, Any], *, source: str | None, which: str, console: Console) -> Finished:
    """`resume`, called while the folder is locked."""
    out = run.path
    facts, tensors = read_checkpoint(run, which)
    if facts.recipe is None or facts.text is None or facts.baseline is None:
        raise CheckpointError(
            f"the model in {out} was saved from Python, without a recipe to continue. Load it with "
            f"tidegate.load({str(out)!r}) and train it there, or train a new run without --resume."
        )
    same_cell(facts.model, changes.get("cell"), out)
    recipe = changed(facts.recipe, {name: value for name, value in changes.items() if name != "cell"}, out)
    source = source if source is not None else own_source(facts.text)
    dataset = read(recipe, source, ConsoleProgress(console))
    same_text(dataset, facts, source)
    job = Job(recipe, source, dataset, facts.baseline, facts.model, run, Status(console, recipe.tokens))
    trainer = job.trainer()
    snapshot.restore(trainer, Checkpoint(tensors, dict(facts.raw)))
    if trainer.progress >= 1 and run.summary.is_file():
        raise ArgumentError(
            f"the run in {out} is finished ({summary.length(recipe)}). Give a greater --epochs or --minutes to "
            "continue."
        )
    if not run.checkpoint("best").is_file():
        trainer.position.best = None  # so that the next evaluation writes best.safetensors again
    trainer.log.truncate(trainer.position.step)
    job.status.begin(f"Continuing at step {trainer.position.step:,}, epoch {trainer.epochs:.2f}.", out)
    return job.run(trainer)


def same_cell(model: ModelFacts, given: str | None, out: Path) -> None:
    """Raise CheckpointError where --cell is given and its equations are not those of the run."""
    if given is not None and trace(find_cell(given)) is not model.step:
        what = f"{model.cell}, got {given}" if given != model.cell else f"{model.cell}, whose equations have changed"
        raise CheckpointError(
            f"the checkpoint in {out} was trained with --cell {what}. Leave the option out to continue this run, or "
            "train a new one without --resume."
        )


def own_source(text: Mapping[str, Any]) -> str:
    """The text of a run, as the first argument of `load_text`. Raises DataError where its file no longer exists, or
    where it was read from standard input, which is now a terminal."""
    source = text["source"]
    if os.path.isabs(source) and not os.path.exists(source):
        raise DataError(
            f"the text of the run is no longer at {source}. Put it back, or name its new place: "
            "tidegate train --resume RUN FILE."
        )
    if source == "-" and sys.stdin.isatty():
        raise DataError(
            f"the text of the run was read from standard input and was not saved. Send it again: tidegate ... < FILE, "
            f"or name a file with the same {text['size']:,} bytes (SHA-256 {text['sha256'][:12]}...)."
        )
    return source


def read(recipe: Recipe, source: str, progress: Progress | None = None) -> Dataset:
    """The data set of a recipe: training and held-out text."""
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
    """The run's recipe with `changes`. Raises CheckpointError for an option that cannot be changed."""
    given = {name: value for name, value in changes.items() if value is not None}
    for name, value in given.items():
        own = getattr(recipe, name)
        if name not in CHANGEABLE and value != own:
            raise CheckpointError(
                f"the checkpoint in {out} was trained with --{name.replace('_', '-')} {own}, got {value}. Leave "
                "the option out to continue this run, or train a new one without --resume."
            )
    if "epochs" in given or "minutes" in given:
        given = {"epochs": None, "minutes": None} | given
    return dataclasses.replace(recipe, **given)


def same_text(dataset: Dataset, facts: Facts, source: str) -> None:
    """Raise CheckpointError unless the text and its vocabulary are those of the checkpoint."""
    text, expected = dataset.text, facts.text or {}
    if text.sha256 != expected["sha256"]:
        raise CheckpointError(
            f"the text of the run has changed: the checkpoint was trained on {expected['name']} with SHA-256 "
            f"{expected['sha256'][:12]}... ({expected['size']:,} bytes), {text.name} has {text.sha256[:12]}... "
            f"({text.size:,} bytes). Name the same text, or train a new run without --resume."
        )
    if facts.vocabulary != dataset.vocabulary:
        raise CheckpointError(
            f"the vocabulary of the checkpoint has {len(facts.vocabulary)} tokens, that of {source} has "
            f"{len(dataset.vocabulary)}, or the tokens differ. Train a new run without --resume."
        )
