"""The weights of a model before its training, as a control."""

from __future__ import annotations

import torch

from tidegate.train.load import Trained
from tidegate.train.model import LanguageModel

SEED = 0  # of a model that was saved without a recipe


def initial_model(trained: Trained) -> LanguageModel:
    """The language model with the weights that training began from, in evaluation mode on the CPU.

    Weights are drawn as tidegate.train.loop.Trainer draws them, after torch's generator of the CPU has been set to the
    seed of the recipe. A model without a recipe has other weights of the same distribution: those of seed 0. The state
    of the generator is not changed.
    """
    seed = trained.recipe.seed if trained.recipe else SEED
    before = torch.get_rng_state()
    try:
        torch.default_generator.manual_seed(seed)
        model = trained.facts.model.build(len(trained.vocabulary), "auto")
    finally:
        torch.set_rng_state(before)
    return model.eval()
