"""Whether the training part of a text is long enough for one batch, and which option to change where it is not."""

from tidegate.errors import DataError
from tidegate.text import Batches, Dataset
from tidegate.train.recipe import Recipe


def check_length(recipe: Recipe, dataset: Dataset, kind: type[Batches]) -> None:
    """Raise DataError where the training part has fewer tokens than one batch of the recipe needs."""
    have, need = len(dataset.train), kind.needed(recipe.batch, recipe.steps)
    if have >= need:
        return
    if recipe.first is not None:
        remedy = f"a greater --first (it is {recipe.first:,})"
    elif have + len(dataset.heldout) > need:
        remedy = f"a smaller --heldout (it is {recipe.heldout:g})"
    else:
        remedy = "a longer text"
    fits = next((size for size in range(recipe.batch, 0, -1) if kind.needed(size, recipe.steps) <= have), None)
    smaller = f"a --batch of at most {fits}" if fits else f"fewer --steps (they are {recipe.steps})"
    raise DataError(
        f"the training part has {have:,} tokens, but one batch of {recipe.batch} rows x {recipe.steps} steps after a "
        f"random offset needs {need:,}. Use {remedy}, or {smaller}."
    )
