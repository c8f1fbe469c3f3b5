"""The model before training, by the recipe's seed and initialisation."""

import pytest
import torch

from tidegate.calculus import trace
from tidegate.cells import CELLS
from tidegate.errors import ArgumentError
from tidegate.train.facts import ModelFacts
from tidegate.train.initial import initial_model
from tidegate.train.recipe import Recipe


def model(init="default", cell="lstm", seed=0):
    recipe = Recipe(cell=cell, hidden=16, steps=40, seed=seed, init=init, epochs=1)
    return initial_model(ModelFacts(cell, trace(CELLS[cell]), 16, 2, 0.0), 5, recipe)


def test_it_is_what_a_trainer_begins_with(trainer_of):
    trainer = trainer_of(init="chrono:9", seed=3)
    facts = ModelFacts("gru", trace(CELLS["gru"]), 8, 1, 0.1)
    own = initial_model(facts, len(trainer.dataset.vocabulary), trainer.recipe)
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(value, own.state_dict()[name]), name


def test_a_named_initialisation_changes_the_recurrent_layer_and_nothing_else():
    plain, biased = model(), model("forget-bias:2.5")
    assert torch.equal(plain.head.weight, biased.head.weight)
    assert torch.equal(plain.recurrent.weight_hh_l1, biased.recurrent.weight_hh_l1)
    parts = biased.recurrent.gate_parameters("f")
    for k in range(2):
        assert torch.equal(parts[f"bias_ih_l{k}"], torch.full((16,), 2.5))
        assert not parts[f"bias_hh_l{k}"].any()


def test_chrono_without_a_number_is_for_the_length_of_a_window():
    bias = model("chrono").recurrent.gate_parameters("f")["bias_ih_l0"]
    assert bias.exp().max() + 1 <= 40
    assert bias.exp().max() + 1 > 20
    assert torch.equal(bias, model("chrono:40").recurrent.gate_parameters("f")["bias_ih_l0"])


@pytest.mark.parametrize(("init", "cell", "message"), [
    ("chrone", "lstm", r"--init must be one of default, orthogonal.*got 'chrone'. Did you mean chrono\?"),
    ("forget-bias:x", "lstm", "numbers after colons, got 'forget-bias:x'"),
    ("forget-bias", "gru", "no forget gate f"),
    ("chrono", "rnn", "no gate f or z"),
])  # fmt: skip
def test_what_cannot_be_done_is_refused(init, cell, message):
    with pytest.raises(ArgumentError, match=message):
        model(init, cell)
