"""The model of a run before the first training step."""

import torch

from tidegate.errors import ArgumentError, did_you_mean
from tidegate.nn import init
from tidegate.train.facts import ModelFacts
from tidegate.train.model import LanguageModel
from tidegate.train.recipe import Recipe


def initial_model(facts: ModelFacts, vocabulary: int, recipe: Recipe) -> LanguageModel:
    """A model with new weights, drawn on the CPU after torch's global generators were set to the recipe's seed.

    The recipe's `init` is then applied to the recurrent layer: a name of `tidegate.init` with its numbers after colons,
    such as "forget-bias:1" or "orthogonal". "chrono" without a number takes the length of a training window as its
    longest time scale. Raises ArgumentError for another name, or if the initialisation does not apply to the cell.
    """
    torch.manual_seed(recipe.seed)
    model = facts.build(vocabulary, recipe.engine)
    name, values = parse(recipe.init)
    if name == "chrono" and not values:
        values = (float(recipe.steps),)
    if name != "default":  # the model already has the default weights
        init.by_name(model.recurrent, name, *values)
    return model


def parse(text: str) -> tuple[str, tuple[float, ...]]:
    """The name and the numbers of "name:number:number"."""
    name, *numbers = text.split(":")
    if name not in init.NAMES:
        raise ArgumentError(
            f"--init must be one of {', '.join(init.NAMES)}, with numbers after colons such as forget-bias:1, got "
            f"{text!r}.{did_you_mean(name, init.NAMES)}"
        )
    try:
        return name, tuple(float(number) for number in numbers)
    except ValueError:
        raise ArgumentError(f"--init {name} takes numbers after colons, got {text!r}.") from None
