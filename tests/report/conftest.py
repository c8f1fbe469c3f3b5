"""Inspections for pages: complete ones of small trained runs, and of models with random weights without figures."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from tests.insight.trained import TINY, train_run

import tidegate
from tidegate.insight.inspection import Inspection, inspect_all
from tidegate.insight.predictions import predictions
from tidegate.text import Vocabulary
from tidegate.train.load import load

PASSAGE = 'He said: "no way."\nThen (after 12 steps) she ran.\n' * 4


@pytest.fixture(scope="session")
def complete(tmp_path_factory):
    """(inspections, models) of a GRU and an LSTM of two layers, trained for a moment, on the same text."""
    folder, threads = tmp_path_factory.mktemp("complete"), torch.get_num_threads()
    torch.set_num_threads(1)
    runs = [train_run(folder / "a", "gru"), train_run(folder / "b", "lstm", layers=2, hidden=8)]
    found = inspect_all(runs, effort=replace(TINY, passage=150))
    named = [replace(one, run={**one.run, "name": name}) for one, name in zip(found, ("first", "second"))]
    yield named, [load(run) for run in runs]
    torch.set_num_threads(threads)


@pytest.fixture
def one(complete):
    """The inspection and the model of the GRU."""
    return complete[0][:1], complete[1][:1]


@pytest.fixture
def bare(tmp_path):
    """`bare(cell)` is ([inspection], [model]) of a model with random weights, in which only its predictions are."""

    def make(cell, *, passage=PASSAGE, layers=1, hidden=6, kind="char", tokens=None):
        torch.manual_seed(1)
        vocabulary = Vocabulary.build(tokens or sorted(set(PASSAGE)), kind)
        model = tidegate.LanguageModel(cell, len(vocabulary), hidden, layers=layers)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(2)
        tidegate.save(tmp_path / "run", model, vocabulary)
        trained = load(tmp_path / "run")
        return [inspection(trained, passage)], [trained]

    return make


def inspection(trained, passage):
    """The Inspection of a passage (a sequence of tokens), without figures."""
    ids = trained.vocabulary.encode(passage)
    own = predictions(trained, ids)
    given = {
        "run": {
            "name": "bare", "cell": "own", "hidden": 6, "layers": 1, "weights": 1234, "tokens_are": "char",
            "trained_on": None, "versions": {"torch": "2"},
        },
        "text": {"name": "cats", "tokens": len(ids), "unknown": 0, "own": False, "no_ngrams": None},
        "passage": {
            "start": 0, "tokens": [trained.vocabulary.tokens[k] for k in ids.tolist()],
            "text": trained.vocabulary.decode(ids), "loss": own.loss, "best": own.best,
            "best_probability": own.best_probability,
        },
        "bits": 1.4427, "heldout": own, "not_measured": {"horizon": "The text is too short."}, "findings": (),
        "seconds": 1.0,
    }  # fmt: skip
    return Inspection(**{field.name: None for field in fields(Inspection)} | given)


@torch.no_grad()
def losses(trained, passage):
    """The loss in nats of each token but the first, and the probabilities after each, by the reference engine."""
    x = trained.vocabulary.encode(passage)
    model = trained.model
    model.double().recurrent.engine = "reference"
    log_p = model(x[:-1, None])[0][:, 0].log_softmax(-1)
    model.float().recurrent.engine = "auto"
    return -log_p.gather(1, x[1:, None])[:, 0].numpy(), np.exp(log_p.numpy())
