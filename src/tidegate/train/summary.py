"""The results of a run: summary.json, the figure of its curves, and the verdict in words."""

from typing import Any

import torch

from tidegate.text import Baseline, Dataset
from tidegate.train import curves, log
from tidegate.train.continuations import continuations
from tidegate.train.evaluate import perplexity
from tidegate.train.folder import RunFolder
from tidegate.train.loop import Trainer
from tidegate.train.recipe import Recipe
from tidegate.train.verdict import Outcome
from tidegate.train.versions import versions


def headline(recipe: Recipe, dataset: Dataset, baseline: Baseline, trainer: Trainer) -> str:
    """A description of the model, the text and the baseline."""
    weights, name = sum(parameter.numel() for parameter in trainer.model.parameters()), dataset.text.name
    train, heldout = dataset.train, dataset.heldout
    evaluated = f" (the first {len(heldout):,} are evaluated)" if len(heldout) < dataset.heldout_of else ""
    embedded = f", token vectors of {recipe.embedding}{', tied' * recipe.tie}" if recipe.embedding else ""
    return (
        f"{recipe.cell}, {recipe.hidden} units{embedded}, {weights:,} weights, {length(recipe)} on {name}: "
        f"{len(train):,} {recipe.tokens} tokens to train on, {dataset.heldout_of:,} held out{evaluated}, "
        f"{len(dataset.vocabulary):,} different.\n"
        f"Baseline: an order-{baseline.order} n-gram scores {baseline.bpc:.3f} bits per held-out character (perplexity "
        f"{baseline.ppl:.3f}){f', {baseline.sample}' if baseline.sample else ''}."
    )


def length(recipe: Recipe) -> str:
    """The length of a run, as text."""
    parts = [f"{recipe.epochs} epoch{'s' * (recipe.epochs > 1)}"] if recipe.epochs else []
    parts += [f"{recipe.minutes:g} minute{'s' * (recipe.minutes != 1)}"] if recipe.minutes else []
    return " or ".join(parts)


def write(run: RunFolder, recipe: Recipe, dataset: Dataset, baseline: Baseline, trainer: Trainer) -> dict[str, Any]:
    """Write summary.json and curves.png of a finished run. Returns the summary.

    `train_*` is over the last `train_window` steps: one epoch, or all steps where there were fewer.
    `heldout_*` is for the weights after the last step, `best` for the best checkpoint.
    """
    position, heldout = trainer.position, trainer.heldout
    assert heldout is not None
    assert position.best is not None
    window = min(len(position.losses), trainer.count(max(0, position.epoch - 1)))
    best, nats = position.best, position.recent_loss(window)
    outcome = Outcome(
        train_bpc=dataset.train.bpc(nats), heldout_bpc=heldout.bpc, epochs=trainer.epochs, best_bpc=best.heldout_bpc,
        best_epoch=best.epochs, baseline_bpc=baseline.bpc, baseline_order=baseline.order, dropout=recipe.dropout,
    )  # fmt: skip
    result = {
        "cell": recipe.cell,
        "engine": trainer.engine,
        "device": trainer.device.type,
        "train_ppl": perplexity(nats),
        "train_bpc": outcome.train_bpc,
        "train_window": window,
        "heldout_ppl": heldout.perplexity,
        "heldout_bpc": heldout.bpc,
        "heldout_streams": heldout.streams,
        "heldout_unknown": dataset.heldout.unknown,
        "heldout_tokens": len(dataset.heldout),
        "heldout_of": dataset.heldout_of,
        "best": {
            "heldout_ppl": best.heldout_ppl, "heldout_bpc": best.heldout_bpc, "epochs": best.epochs, "step": best.step,
        },
        "baseline": baseline.figures(),
        "beats_baseline": outcome.beats_baseline,
        "overfitted": outcome.overfitted,
        "memorised": outcome.memorised,
        "verdict": outcome.words(),
        "continuations": continuations(run.path, recipe),
        "tokens_per_s": position.tokens / position.stepping,
        "seconds": position.seconds,
        "epochs": trainer.epochs,
        "steps": position.step,
        "seed": recipe.seed,
        "hidden": recipe.hidden,
        "layers": recipe.layers,
        "embedding": recipe.embedding,
        "tie": recipe.tie,
        "weights": sum(parameter.numel() for parameter in trainer.model.parameters()),
        "vocabulary": len(dataset.vocabulary),
        "tokens": recipe.tokens,
        "text": dataset.text.name,
        "data_sha256": dataset.text.sha256,
        "threads": torch.get_num_threads(),
        "versions": versions(),
    }  # fmt: skip
    run.write_json("summary.json", result)
    curves.draw(run.curves, log.read(run.log), baseline, title=f"{recipe.cell} on {dataset.text.name}")
    return result
