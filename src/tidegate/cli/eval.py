"""`tidegate eval`: what a trained model pays for a text."""

import json
from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    text: Annotated[str | None, typer.Argument(help="Another text [the run's held-out text].")] = None,
    checkpoint: Annotated[str, typer.Option(help="best or last.")] = "best",
    streams: Annotated[
        int | None, typer.Option(help="Read the text in so many streams; 1 carries the state across all of it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Score a text, token by token, with the state carried across it."""
    from tidegate.train.held import evaluate_run

    found = evaluate_run(run, text, which=checkpoint, streams=streams)
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    typer.echo(
        f"{found['cell']} ({found['checkpoint']} checkpoint, epoch {found['epochs']:.3g}) on {found['text']}: "
        f"perplexity {found['ppl']:.3f} per {found['tokens_are']}, {found['bpc']:.3f} bits per character "
        f"({found['tokens']:,} tokens, {found['streams']} stream{'s' * (found['streams'] > 1)})."
    )
    if found["unknown"]:
        typer.echo(f"{found['unknown']:,} tokens are not in the model's vocabulary and count as <unk>.")
    if found["ngram_bpc"] is not None:
        word = "below" if found["bpc"] < found["ngram_bpc"] else "not below"
        typer.echo(f"The order-{found['ngram_order']} n-gram bar is {found['ngram_bpc']:.3f}: the model is {word} it.")
