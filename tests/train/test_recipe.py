import pytest

from tidegate.errors import ArgumentError
from tidegate.train.recipe import RECIPES, Recipe, recipe


def test_the_textbook_recipe_is_the_textbooks():
    d2l = RECIPES["d2l"]
    assert (d2l.preprocess, d2l.first, d2l.batch, d2l.steps, d2l.hidden) == ("letters", 10_000, 32, 35, 256)
    assert (d2l.optimizer, d2l.lr, d2l.clip, d2l.epochs, d2l.sampling) == ("sgd", 1.0, 1.0, 500, "sequential")
    assert d2l.prompts == ("time traveller", "traveller")
    assert (d2l.schedule, d2l.weight_decay, d2l.dropout, d2l.heldout) == ("constant", 0.0, 0.0, 10_000)


def test_an_explicit_option_overrides_the_recipe_and_none_does_not():
    changed = recipe("d2l", hidden=64, cell=None)
    assert (changed.hidden, changed.cell, changed.epochs) == (64, "gru", 500)


def test_an_explicit_length_replaces_the_recipes_of_either_kind():
    assert recipe("default", epochs=3).minutes is None
    assert recipe("d2l", minutes=0.5).epochs is None


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("hidden", 0), ("layers", 0), ("batch", -1), ("steps", 0), ("min_freq", 0), ("first", 0), ("eval_every", 0),
        ("seed", -1), ("lr", 0.0), ("lr", -1e-3), ("lr", float("nan")), ("clip", 0.0), ("weight_decay", -1.0),
        ("dropout", 1.0), ("heldout", 0.0), ("heldout", 1.0), ("heldout", 1.5), ("optimizer", "adam"),
        ("schedule", "linear"), ("preprocess", "lower"), ("tokens", "bpe"), ("sampling", "shuffle"), ("minutes", 0.0),
    ],
)  # fmt: skip
def test_an_invalid_value_is_refused_by_the_name_of_its_option(option, value):
    with pytest.raises(ArgumentError, match=f"--{option.replace('_', '-')} must be .*, got "):
        recipe("default", **{option: value})


def test_a_run_without_a_length_is_refused():
    with pytest.raises(ArgumentError, match="got neither"):
        Recipe()


def test_an_unknown_recipe_is_refused_with_the_known_ones():
    with pytest.raises(ArgumentError, match=r"one of default, d2l, got 'fast'\.$"):
        recipe("fast")


@pytest.mark.parametrize(("name", "near"), [("D2L", "d2l"), ("d2", "d2l"), ("Default", "default")])
def test_a_misspelt_recipe_gets_a_suggestion(name, near):
    with pytest.raises(ArgumentError, match=rf"Did you mean {near}\?"):
        recipe(name)


def test_a_misspelt_choice_gets_a_suggestion():
    with pytest.raises(ArgumentError, match=r"--optimizer must be one of adamw, sgd, got 'Adam'. Did you mean adamw\?"):
        recipe("default", optimizer="Adam")


def test_prompts_are_a_tuple_also_from_json_and_none_is_empty():
    assert recipe("default").prompts == ()
    assert Recipe(epochs=1, prompts=["a", "b"]).prompts == ("a", "b")
    with pytest.raises(ArgumentError, match="--prompt must be a text of at least one character, got ''"):
        Recipe(epochs=1, prompts=("a", ""))
