"""`tidegate eval`: the score of a trained model on a text."""

import json
from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.numbers import integer_option


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")],
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="Another text [the run's held-out text].")] = None,
    checkpoint: Annotated[str, typer.Option(help="best or last.")] = "best",
    streams: Annotated[
        int | None, integer_option("Cut the text into this many streams; 1 carries the state through all of it.")
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="Encoding of the other text [the run's].")] = None,
    device: Annotated[str, typer.Option(help="auto (a GPU where there is one), cpu, cuda or mps.")] = "auto",
    engine: Annotated[str | None, typer.Option(help="auto, cpu, torch, eager or reference [the run's].")] = None,
    dtype: Annotated[
        str | None, typer.Option(help="Store the weights as bfloat16 or int8, and print what that costs; on the CPU.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Score a trained model on a text, with the state carried from token to token."""
    from rich.console import Console

    from tidegate.text import ConsoleProgress
    from tidegate.train.evaluate_run import evaluate_run

    found = evaluate_run(
        run, text, which=checkpoint, streams=streams, encoding=encoding, device=device, engine=engine, dtype=dtype,
        progress=ConsoleProgress(Console(stderr=True)),
    )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    epoch = "" if found["epochs"] is None else f", epoch {found['epochs']:.3g}"
    typer.echo(
        f"{found['cell']} ({checkpoint} checkpoint{epoch}) on {found['text']}: "
        f"perplexity {found['ppl']:.3f} per {found['tokens_are']}, {found['bpc']:.3f} bits per character "
        f"({found['tokens']:,} tokens, {found['streams']} stream{'s' * (found['streams'] > 1)})."
    )
    if dtype is not None:
        more = found["bpc_more"]
        typer.echo(
            f"With weights stored as {dtype}; with its own weights the model scores {found['bpc'] - more:.4f} bits per "
            f"character: a difference of {more:+.4f}."
        )
    if found["unknown"]:
        are = "tokens are" if found["unknown"] > 1 else "token is"
        typer.echo(f"{found['unknown']:,} {are} not in the model's vocabulary (scored as <unk>).")
    baseline = found["baseline"]
    if baseline is None:
        typer.echo(f"No n-gram baseline: {found['baseline_missing'].rstrip('.')}.")
    else:
        word = "below" if found["bpc"] < baseline["bpc"] else "not below"
        sample = f" It was {baseline['sample']}." if baseline["sample"] else ""
        counted = ", counted on the run's training text," if text else ""
        typer.echo(
            f"The order-{baseline['order']} n-gram baseline{counted} is {baseline['bpc']:.3f} bits per character: the "
            f"model is {word} it.{sample}"
        )
