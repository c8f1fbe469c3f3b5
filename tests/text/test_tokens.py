"""Characters, bytes and words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import ArgumentError
from tidegate.text.preprocess import raw
from tidegate.text.tokens import character_count, tokenize


def test_characters_are_code_points():
    assert list(tokenize(["né\n", "e"], "char")) == ["n", "é", "\n", "e"]


def test_bytes_are_those_of_utf_8():
    assert [ord(token) for token in tokenize(["né"], "byte")] == list("né".encode())


def test_a_byte_of_the_command_line_that_is_not_utf_8_is_that_byte():
    assert tokenize([b"caf\xe9".decode(errors="surrogateescape")], "byte") == "caf\xe9"


def test_words_end_at_spaces_and_each_line_feed_is_a_token():
    assert tokenize(raw("a bc\n\n d,  e"), "word") == ["a", "bc", "\n", "\n", "d,", "e"]


def test_lines_without_their_line_feed_give_words_only():
    assert tokenize(["a bc", "", "d"], "word") == ["a", "bc", "d"]


@given(st.text())
def test_bytes_and_characters_count_the_same_characters(text):
    assert character_count(tokenize([text], "byte"), "byte") == character_count(text, "char") == len(text)


@pytest.mark.parametrize("text", ["ab c\nd\n", "one\n\ntwo three\n", "\n"])
def test_words_of_single_spaced_lines_count_every_character(text):
    assert character_count(tokenize(raw(text), "word"), "word") == len(text)


def test_an_unknown_kind_is_refused():
    with pytest.raises(ArgumentError, match='must be char, byte, word, got "bpe"'):
        tokenize(["a"], "bpe")
