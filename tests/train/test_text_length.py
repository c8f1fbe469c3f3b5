import pytest

from tidegate.errors import DataError
from tidegate.text import RandomSampling, Sequential, Text, make_dataset
from tidegate.train.recipe import Recipe
from tidegate.train.text_length import check_length


def refusal(length=1000, first=None, heldout=0.1, batch=4, steps=10, kind=Sequential):
    """What is said of a text of that many characters; None where it is long enough."""
    text = Text.of("cats", ("The cat sat on the mat. " * length)[:length])
    dataset = make_dataset(text, first=first, heldout=heldout)
    recipe = Recipe(first=first, heldout=heldout, batch=batch, steps=steps, epochs=1)
    try:
        check_length(recipe, dataset, kind)
    except DataError as error:
        return str(error)
    return None


@pytest.mark.parametrize("kind", [Sequential, RandomSampling])
def test_a_text_is_long_enough_from_the_length_that_batches_need(kind):
    need = kind.needed(4, 10)
    assert refusal(first=need, kind=kind) is None
    kind(make_dataset(Text.of("cats", "ab" * 500), first=need).train.ids, 4, 10)
    assert f"has {need - 1} tokens, but one batch of 4 rows x 10 steps" in refusal(first=need - 1, kind=kind)


def test_the_remedy_names_the_option_that_made_the_training_part_short():
    assert "Use a greater --first (it is 20), or fewer --steps (they are 10)." in refusal(first=20)
    assert "Use a smaller --heldout (it is 970), or a --batch of at most 1." in refusal(heldout=970)
    assert "Use a longer text, or a --batch of at most 2." in refusal(length=45)
