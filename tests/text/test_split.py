"""Where training ends and the held-out tail begins."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import ArgumentError, DataError
from tidegate.text.split import split


@pytest.mark.parametrize(
    ("count", "settings", "train", "end"),
    [
        (1_115_394, {}, 1_003_854, 1_115_394),  # the split of Tiny Shakespeare that the field reports
        (100, {"heldout": 0.25}, 75, 100),
        (100, {"heldout": 30}, 70, 100),
        (170_580, {"first": 10_000, "heldout": 10_000}, 10_000, 20_000),
        (170_580, {"first": 9_000}, 9_000, 10_000),
        (20, {"first": 10, "heldout": 0.5}, 10, 20),
    ],
)
def test_the_held_out_part_follows_the_training_part(count, settings, train, end):
    assert split(count, **settings) == (slice(0, train), slice(train, end))


@given(st.integers(30, 10**7), st.floats(0.1, 0.9))
def test_without_first_every_token_belongs_to_a_part(count, share):
    train, heldout = split(count, share)
    assert (train.start, train.stop, heldout.stop) == (0, heldout.start, count)


@pytest.mark.parametrize(
    ("count", "settings", "numbers"),
    [
        (3, {}, "3 tokens: too short to train on 2 and hold out 2"),
        (0, {}, "0 tokens"),
        (100, {"heldout": 100}, "100 tokens: too short to train on 2 and hold out 100"),
        (15_000, {"first": 10_000, "heldout": 10_000}, "train on 10000 and hold out 10000"),
        (100, {"first": 100}, "train on 100 and hold out 11"),
    ],
)
def test_the_error_of_a_text_that_is_too_short_has_the_numbers(count, settings, numbers):
    with pytest.raises(DataError, match=numbers):
        split(count, **settings)


@pytest.mark.parametrize(
    "settings", [{"heldout": 0}, {"heldout": -0.1}, {"heldout": 1.5}, {"heldout": float("nan")}, {"first": 0}]
)
def test_a_wrong_setting_is_refused(settings):
    with pytest.raises(ArgumentError):
        split(1000, **settings)
