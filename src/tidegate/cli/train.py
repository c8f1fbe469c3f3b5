"""`tidegate train`: a new run, or `--resume` of one."""

import errno
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer


def train(
    text: Annotated[
        str | None, typer.Argument(help="A corpus (see `tidegate data`), a file, or - for standard input [builtin].")
    ] = None,
    cell: Annotated[
        str | None,
        typer.Option(
            help="gru, lstm, rnn, rnn-relu, reset-before-gru, peephole-lstm, residual, residual-sigmoid, FILE.py:CLASS."
        ),
    ] = None,
    hidden: Annotated[int | None, typer.Option(help="Units of a layer.")] = None,
    layers: Annotated[int | None, typer.Option(help="Recurrent layers.")] = None,
    dropout: Annotated[float | None, typer.Option(help="Dropout of the outputs.")] = None,
    engine: Annotated[str | None, typer.Option(help="auto, or an engine's name.")] = None,
    device: Annotated[str | None, typer.Option(help="auto (a GPU where there is one), cpu, cuda or mps.")] = None,
    recipe: Annotated[str | None, typer.Option(help="default (two minutes) or d2l (the textbook's).")] = None,
    batch: Annotated[int | None, typer.Option(help="Rows of a batch.")] = None,
    steps: Annotated[int | None, typer.Option(help="Tokens of a window: how far gradients go back.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="adamw or sgd.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate at its peak.")] = None,
    schedule: Annotated[str | None, typer.Option(help="constant or cosine.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Weight decay of the optimiser.")] = None,
    clip: Annotated[float | None, typer.Option(help="Largest global norm of the gradient.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Train for so many passes over the text ...")] = None,
    minutes: Annotated[float | None, typer.Option(help="... or for so long.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the weights and of the batches.")] = None,
    preprocess: Annotated[str | None, typer.Option(help="raw, or letters (a to z and space).")] = None,
    tokens: Annotated[str | None, typer.Option(help="char, byte or word.")] = None,
    min_freq: Annotated[int | None, typer.Option(help="Rarer tokens become <unk>.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Encoding of the file.")] = None,
    first: Annotated[int | None, typer.Option(help="Train on the first so many tokens only.")] = None,
    heldout: Annotated[float | None, typer.Option(help="Held-out share of the text, or number of tokens.")] = None,
    sampling: Annotated[str | None, typer.Option(help="sequential (state carried) or random.")] = None,
    eval_every: Annotated[int | None, typer.Option(help="Steps between evaluations [12 in a run].")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run [runs/TEXT-CELL-N].")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with the run in this folder.")] = None,
    checkpoint: Annotated[str | None, typer.Option(help="With --resume: last or best [last].")] = None,
) -> None:
    """Train a language model on a text.

    An option that is given overrides the recipe's. Ctrl-C saves and stops; --resume goes on with the same numbers.
    """
    from rich.console import Console

    from tidegate.errors import ArgumentError
    from tidegate.train import job
    from tidegate.train.loop import Stopped
    from tidegate.train.recipe import recipe as named

    options: dict[str, Any] = {
        "cell": cell, "hidden": hidden, "layers": layers, "dropout": dropout, "engine": engine, "device": device,
        "batch": batch, "steps": steps, "optimizer": optimizer, "lr": lr, "schedule": schedule,
        "weight_decay": weight_decay, "clip": clip, "epochs": epochs, "minutes": minutes, "seed": seed,
        "preprocess": preprocess, "tokens": tokens, "min_freq": min_freq, "encoding": encoding, "first": first,
        "heldout": heldout, "sampling": sampling, "eval_every": eval_every,
    }  # fmt: skip
    console = Console(highlight=False)
    try:
        if resume is None:
            if checkpoint is not None:
                raise ArgumentError("--checkpoint belongs to --resume RUN; a new run has none.")
            folder, result = job.start(
                named(recipe or "default", **options), "builtin" if text is None else text, out, console=console
            )
        else:
            if recipe is not None:
                raise ArgumentError("--recipe and --resume exclude each other: a resumed run has its recipe.")
            if out is not None:
                raise ArgumentError("--out and --resume exclude each other: a resumed run stays in its folder.")
            folder, result = job.resume(resume, options, source=text, which=checkpoint or "last", console=console)
    except Stopped as stopped:
        how = (
            "Stopped and saved" if stopped.saved else "Stopped immediately; the last checkpoint is from an earlier step"
        )
        echo_if_open(f"{how}. Continue with: tidegate train --resume {shlex.quote(str(stopped.folder))}")
        raise typer.Exit(128 + stopped.signal) from None
    report(result, folder)


def echo_if_open(line: str) -> None:
    """Print a line, unless the terminal was closed; then further output, buffered or not, goes nowhere."""
    try:
        typer.echo(line)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def report(result: dict[str, Any], folder: Path) -> None:
    """The end of a run on the terminal."""
    best, baseline = result["best"], result["baseline"]
    rows = (
        (f"train (last {result['train_window']} steps)", result["train_ppl"], result["train_bpc"]),
        ("held-out (at the end)", result["heldout_ppl"], result["heldout_bpc"]),
        (f"held-out (best, epoch {best['epochs']:.3g})", best["heldout_ppl"], best["heldout_bpc"]),
        (f"baseline (order-{baseline['order']} n-gram)", baseline["ppl"], baseline["bpc"]),
    )
    typer.echo(f"\n{'':30}{'perplexity':>11}{'bpc':>8}")
    for name, ppl, bpc in rows:
        typer.echo(f"{name:30}{ppl:>11.3f}{bpc:>8.3f}")
    streams, unknown = result["heldout_streams"], result["heldout_unknown"]
    typer.echo(
        f"\nThe held-out text was read in {streams} stream{'s' * (streams > 1)} from the zero state"
        f"{f'; {unknown:,} of its tokens count as <unk>' if unknown else ''}. {result['verdict']}"
    )
    typer.echo(
        f"{result['epochs']:.1f} epochs in {result['seconds']:.0f} s, {result['tokens_per_s']:,.0f} tokens/s on the "
        f"{result['engine']} engine ({result['device']}). In {folder}: summary.json, curves.png, best.safetensors."
    )
    typer.echo(f"Let it write: tidegate sample {shlex.quote(str(folder))}")
