"""The weights of a model before its training, as a control."""

from __future__ import annotations

import torch

from tidegate.train import initial
from tidegate.train.load import Trained
from tidegate.train.model import LanguageModel, folded

SEED = 0  # of a model that was saved without a recipe


def initial_model(trained: Trained) -> LanguageModel:
    """The language model with its weights before training, in evaluation mode on the CPU.

    For a model that was saved without a recipe they are not known; the default initial weights of seed 0 are used. The
    states of torch's generators are not changed. A table of token vectors is multiplied into the input weights.
    """
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        if trained.recipe is not None:
            model = initial.initial_model(trained.facts.model, len(trained.vocabulary), trained.recipe)
        else:
            torch.manual_seed(SEED)
            model = trained.facts.model.build(len(trained.vocabulary), "auto")
    return folded(model).eval()
