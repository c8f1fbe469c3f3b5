"""`tidegate sample`: the model writes."""

from pathlib import Path
from typing import Annotated

import typer


def sample(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    prompt: Annotated[str | None, typer.Option(help="What the model continues [the start of a line].")] = None,
    length: Annotated[int, typer.Option(help="Tokens to write.")] = 500,
    temperature: Annotated[float, typer.Option(help="0 takes the likeliest token, 1 draws as the model says.")] = 0.8,
    top_k: Annotated[int, typer.Option(help="Draw among the k likeliest tokens only [0: all].")] = 0,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
    checkpoint: Annotated[str, typer.Option(help="best or last.")] = "best",
    device: Annotated[str, typer.Option(help="auto (a GPU where there is one), cpu, cuda or mps.")] = "auto",
    engine: Annotated[str | None, typer.Option(help="auto, or an engine's name [the run's].")] = None,
) -> None:
    """Let a trained model write, token by token as it draws them."""
    from tidegate.train.generate import generate

    for piece in generate(
        run, prompt, which=checkpoint, length=length, temperature=temperature, top_k=top_k, seed=seed, device=device,
        engine=engine,
    ):  # fmt: skip
        typer.echo(piece, nl=False)
    typer.echo()
