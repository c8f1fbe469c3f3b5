"""The continuations of a run's prompts: the most likely tokens after each, by the last and by the best checkpoint."""

from pathlib import Path
from typing import Any

from tidegate.errors import DataError, DivergenceError
from tidegate.train.generate import generate
from tidegate.train.recipe import Recipe

LENGTH = 50  # tokens; the length in Dive into Deep Learning (2021), section 8.5, predict_ch8


def continuations(run: Path, recipe: Recipe) -> list[dict[str, Any]]:
    """For each prompt of the recipe {"prompt", "last", "best"}: the text after it, always the most likely token.

    A prompt outside the model's vocabulary, or scores that are not finite, give {"prompt", "absent": the reason}.
    """
    return [continuation(run, recipe, prompt) for prompt in recipe.prompts]


def continuation(run: Path, recipe: Recipe, prompt: str) -> dict[str, Any]:
    found = {"prompt": prompt}
    for which in ("last", "best"):
        try:
            pieces = generate(run, prompt, which=which, length=LENGTH, temperature=0, device=recipe.device)
            found[which] = "".join(pieces).removeprefix(prompt)
        except (DataError, DivergenceError) as error:
            return {"prompt": prompt, "absent": str(error)}
    return found
