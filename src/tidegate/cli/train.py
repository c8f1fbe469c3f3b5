"""`tidegate train`: a new run, or `--resume` of one."""

import errno
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from tidegate.cli.numbers import integer_option, number_option


def train(
    text: Annotated[
        str | None,
        typer.Argument(
            metavar="TEXT", help="A corpus (see `tidegate data`), a file, or - for standard input [builtin]."
        ),
    ] = None,
    cell: Annotated[
        str | None,
        typer.Option(
            help="gru, lstm, rnn, rnn-relu, reset-before-gru, reset-only-gru, update-only-gru, peephole-lstm, "
            "residual, residual-sigmoid, FILE.py:CLASS."
        ),
    ] = None,
    hidden: Annotated[int | None, integer_option("Units of a layer.")] = None,
    layers: Annotated[int | None, integer_option("Recurrent layers.")] = None,
    embedding: Annotated[
        int | None, integer_option("Size of learned token vectors in front of the first layer; 0 for none [0].")
    ] = None,
    tie: Annotated[
        bool, typer.Option("--tie", help="Use the token vectors as the weights of the output layer too.")
    ] = False,
    dropout: Annotated[float | None, number_option("Dropout of the outputs, and of the token vectors.")] = None,
    init: Annotated[
        str | None,
        typer.Option(
            help="Initialisation: default, orthogonal, forget-bias:1, chrono:100 or identity:1.", metavar="NAME"
        ),
    ] = None,
    engine: Annotated[str | None, typer.Option(help="auto, cpu, torch, eager or reference.")] = None,
    device: Annotated[str | None, typer.Option(help="auto (a GPU where there is one), cpu, cuda or mps.")] = None,
    recipe: Annotated[str | None, typer.Option(help="default (two minutes) or d2l (the textbook's).")] = None,
    batch: Annotated[int | None, integer_option("Rows of a batch.")] = None,
    steps: Annotated[int | None, integer_option("Tokens of a window: the length of truncated BPTT.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="adamw or sgd.")] = None,
    lr: Annotated[float | None, number_option("Learning rate at its peak.")] = None,
    schedule: Annotated[str | None, typer.Option(help="constant or cosine.")] = None,
    weight_decay: Annotated[float | None, number_option("Weight decay of the optimiser.")] = None,
    clip: Annotated[float | None, number_option("Largest global norm of the gradient.")] = None,
    epochs: Annotated[int | None, integer_option("End after this many passes over the text.")] = None,
    minutes: Annotated[float | None, number_option("End after this many minutes, if the epochs take longer.")] = None,
    seed: Annotated[int | None, integer_option("Seed of the weights and of the batches.")] = None,
    preprocess: Annotated[str | None, typer.Option(help="raw, or letters (a to z and space).")] = None,
    tokens: Annotated[str | None, typer.Option(help="char, byte or word.")] = None,
    min_freq: Annotated[int | None, integer_option("Tokens with fewer occurrences become <unk>.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Encoding of the file.")] = None,
    first: Annotated[int | None, integer_option("Train only on this many tokens, from the start of the text.")] = None,
    heldout: Annotated[float | None, number_option("Held-out share of the text, or number of tokens.")] = None,
    sampling: Annotated[str | None, typer.Option(help="sequential (state carried) or random.")] = None,
    eval_every: Annotated[int | None, integer_option("Steps between evaluations [12 in a run].")] = None,
    prompt: Annotated[
        list[str] | None, typer.Option(help="At the end, continue this text by 50 most likely tokens; repeatable.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="New folder for the run [runs/TEXT-CELL-N].")] = None,
    resume: Annotated[Path | None, typer.Option(help="Continue the run in this folder.")] = None,
    checkpoint: Annotated[str | None, typer.Option(help="With --resume: last or best [last].")] = None,
) -> None:
    """Train a language model on a text.

    An option that is given overrides the recipe's. Ctrl-C saves and stops; --resume continues with the same numbers.
    """
    from rich.console import Console

    from tidegate.errors import ArgumentError
    from tidegate.train import job
    from tidegate.train.loop import Stopped
    from tidegate.train.recipe import recipe as named

    options: dict[str, Any] = {
        "cell": cell, "hidden": hidden, "layers": layers, "embedding": embedding, "tie": tie or None,
        "dropout": dropout, "init": init, "engine": engine, "device": device, "batch": batch, "steps": steps,
        "optimizer": optimizer, "lr": lr, "schedule": schedule, "weight_decay": weight_decay, "clip": clip,
        "epochs": epochs, "minutes": minutes, "seed": seed, "preprocess": preprocess, "tokens": tokens,
        "min_freq": min_freq, "encoding": encoding, "first": first, "heldout": heldout, "sampling": sampling,
        "eval_every": eval_every, "prompts": tuple(prompt) if prompt else None,
    }  # fmt: skip
    console = Console(highlight=False)
    try:
        if resume is None:
            if checkpoint is not None:
                raise ArgumentError("--checkpoint is only for --resume RUN; a new run has none.")
            folder, result = job.start(
                named(recipe or "default", **options), "builtin" if text is None else text, out, console=console
            )
        else:
            if recipe is not None:
                raise ArgumentError("--recipe and --resume exclude each other: a resumed run keeps its recipe.")
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
    """Print a line, unless the terminal was closed; in that case all further output is discarded."""
    try:
        typer.echo(line)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def report(result: dict[str, Any], folder: Path) -> None:
    """Print the results of a run."""
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
        f"\nThe held-out text was scored in {streams} part{'s' * (streams > 1)}, each from the state zero"
        f"{f'; {unknown:,} of its tokens count as <unk>' if unknown else ''}. {result['verdict']}"
    )
    typer.echo(
        f"{result['epochs']:.1f} epochs in {result['seconds']:.0f} s, {result['tokens_per_s']:,.0f} tokens/s on the "
        f"{result['engine']} engine ({result['device']}). In {folder}: summary.json, curves.png, best.safetensors."
    )
    report_continuations(result["continuations"], best["epochs"])
    typer.echo(f"Generate text with: tidegate sample {shlex.quote(str(folder))}")


def report_continuations(found: list[dict[str, Any]], best: float) -> None:
    """Print what the last and the best checkpoint write after each prompt."""
    if found:
        typer.echo("\nAfter each prompt the 50 most likely tokens, one after the other:")
    for each in found:
        if "absent" in each:
            typer.echo(f"{each['prompt']}: not continued, because {each['absent']}")
        else:
            for name, text in (("last", each["last"]), (f"best, epoch {best:.3g}", each["best"])):
                typer.echo(f"{name:>17}  {each['prompt']}|{text}")
