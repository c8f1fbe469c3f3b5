"""`tidegate sample`: text that a trained model generates."""

from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.numbers import integer_option, number_option


def sample(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")],
    prompt: Annotated[str | None, typer.Option(help="Text to continue [the start of a line].")] = None,
    length: Annotated[int, integer_option("Number of tokens.")] = 500,
    temperature: Annotated[float, number_option("Divides the scores; 0 takes the most likely token.")] = 0.8,
    top_k: Annotated[int, integer_option("Sample only among the k most likely tokens; 0 is no limit.")] = 0,
    seed: Annotated[int, integer_option("Seed of the sampling.")] = 0,
    checkpoint: Annotated[str, typer.Option(help="best or last.")] = "best",
    device: Annotated[str, typer.Option(help="auto (a GPU where there is one), cpu, cuda or mps.")] = "auto",
    engine: Annotated[str | None, typer.Option(help="auto, cpu, torch, eager or reference [the run's].")] = None,
) -> None:
    """Generate text with a trained model, printed token by token."""
    from tidegate.train.generate import generate

    for piece in generate(
        run, prompt, which=checkpoint, length=length, temperature=temperature, top_k=top_k, seed=seed, device=device,
        engine=engine,
    ):  # fmt: skip
        typer.echo(piece, nl=False)
    typer.echo()
