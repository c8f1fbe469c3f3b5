"""The weights before training, against a trainer that has made no step."""

import torch
from rich.console import Console
from tests.insight.planted import as_trained, random_model

from tidegate.calculus import trace
from tidegate.cells import CELLS
from tidegate.insight import initial_model
from tidegate.text import Text, make_dataset
from tidegate.train.facts import ModelFacts
from tidegate.train.log import Log
from tidegate.train.loop import Trainer
from tidegate.train.recipe import Recipe
from tidegate.train.status import Status


def test_the_weights_are_those_of_a_trainer_that_has_made_no_step(tmp_path):
    dataset = make_dataset(Text.of("cats", "A cat sat on the mat. " * 40))
    recipe = Recipe(cell="lstm", hidden=5, layers=2, batch=2, steps=5, epochs=1, seed=17, device="cpu")
    facts = ModelFacts("lstm", trace(CELLS["lstm"]), 5, 2, 0.1)
    log, status = Log(tmp_path / "log.jsonl"), Status(Console(quiet=True), "char")
    trainer = Trainer(recipe, dataset, facts, log=log, status=status, save=lambda *_: None)
    begin = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.step()
    found = initial_model(as_trained(trainer.model, dataset.vocabulary, recipe=recipe)).state_dict()
    assert found.keys() == begin.keys()
    for name, value in found.items():
        assert torch.equal(value, begin[name])
        assert not torch.equal(value, trainer.model.state_dict()[name])


def test_a_model_without_a_recipe_has_the_weights_of_seed_0_and_the_generator_does_not_change():
    dataset = make_dataset(Text.of("cats", "A cat sat on the mat. " * 40))
    trained = as_trained(random_model("gru", dataset.vocabulary, seed=4), dataset.vocabulary)
    torch.manual_seed(0)
    expected = random_model("gru", dataset.vocabulary, seed=0).state_dict()
    torch.manual_seed(1)
    before = torch.get_rng_state()
    found = initial_model(trained)
    assert not found.training
    assert torch.get_rng_state().equal(before)
    for name, value in found.state_dict().items():
        assert torch.equal(value, expected[name])
