"""Features against values written out by hand, character by character."""

import numpy as np
import pytest

from tidegate.errors import ArgumentError, ArgumentTypeError, ShapeError
from tidegate.insight.tracking.features import FEATURES, feature_values, is_on


def values(name, text):
    return np.asarray(FEATURES[name](text)).astype(int).tolist()


@pytest.mark.parametrize(("name", "text", "expected"), [
    ("position in line", "ab\n\nc\n", "120010"),
    ("inside quotes", 'a"b" "c', "0110011"),
    ("inside quotes", "“a” «b» 'c' don’t", "11001100000000000"),
    ("inside quotes", 'a"b\n \nc"d"', "0110000110"),
    ("bracket depth", "(a[b]{c})d", "1122122100"),
    ("bracket depth", ":( ) 1) [x", "0110000000"),
    ("bracket depth", "([)]", "1100"),
    ("word start", "It's o'er' 9to5 a_b 'em", "10000100000100001010010"),
    ("digit", "a1²٣", "0101"),
    ("capital", "aBÉß1", "01100"),
    ("indentation", "  a\nb\n \t c\n\n", "122000189900"),
])  # fmt: skip
def test_each_feature_has_the_value_after_its_character(name, text, expected):
    assert values(name, text) == [int(digit) for digit in expected]


@pytest.mark.parametrize("name", FEATURES)
@pytest.mark.parametrize("text", ["", "\n", "x", '"', "(", "\t", "\r\n", "é\u2028\U0001f600"])
def test_any_text_has_one_finite_number_for_each_character(name, text):
    found = feature_values({name: FEATURES[name]}, text)
    assert found.shape == (len(text), 1)


def test_a_feature_of_ones_own_is_a_function_of_the_text():
    found = feature_values({**FEATURES, "vowel": lambda text: [c in "aeiou" for c in text]}, "tide")
    assert found[:, -1].tolist() == [0, 1, 0, 1]
    assert found.dtype == np.float64


@pytest.mark.parametrize(("features", "error", "words"), [
    ({}, ArgumentTypeError, "at least one name"), ([len], ArgumentTypeError, "mapping"),
    ({"x": 3}, ArgumentTypeError, "functions, got 3 for 'x'"),
    ({"x": lambda text: text}, ArgumentTypeError, "numbers or booleans"),
    ({"x": lambda text: [1.0]}, ShapeError, r"'x' must return one number for each of the 3 characters.*\(1,\)"),
    ({"x": lambda text: [0, np.nan, 1]}, ArgumentError, "'x' returned values that are NaN"),
])  # fmt: skip
def test_an_invalid_feature_is_named(features, error, words):
    with pytest.raises(error, match=words):
        feature_values(features, "abc")


def test_a_feature_is_on_where_it_is_true_or_above_its_median():
    assert is_on(np.array([0, 1, 1.0])).tolist() == [False, True, True]
    assert is_on(np.array([5, 7, 6, 0, 9.0])).tolist() == [False, True, False, False, True]
    assert not is_on(np.zeros(3)).any()
