"""Characters, bytes and words, of a text and of its pieces."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.text import plain

from tidegate.errors import ArgumentError, DataError
from tidegate.text import tokens
from tidegate.text.tokens import NUMBERINGS, tokenize

TEXTS = st.text(st.sampled_from("abé \n\r\t\x1c\u2028語😀"))


def test_characters_are_code_points():
    assert list(tokenize("né\ne", "char")) == ["n", "é", "\n", "e"]


def test_byte_tokens_are_the_bytes_of_utf_8():
    assert [ord(token) for token in tokenize("né", "byte")] == list("né".encode())


def test_a_byte_of_the_command_line_that_is_not_utf_8_is_that_byte():
    assert tokenize(b"caf\xe9".decode(errors="surrogateescape"), "byte") == "caf\xe9"


def test_words_end_at_spaces_and_each_line_feed_is_a_token():
    assert tokenize("a bc\n\n d,  e", "word") == ["a", "bc", "\n", "\n", "d,", "e"]


@pytest.mark.parametrize("kind", tokens.KINDS)
@given(TEXTS)
def test_the_tokens_of_a_text_are_those_of_its_lines(kind, text):
    assert list(tokenize(text, kind)) == plain.tokens(text, "raw", kind)


@pytest.mark.parametrize("kind", tokens.KINDS)
@given(TEXTS, st.integers(1, 9))
def test_pieces_of_any_size_give_the_tokens_of_the_text(kind, text, size):
    numbering = NUMBERINGS[kind]()
    whole = text.encode() if kind == "byte" else text
    numbers = [numbering.feed(whole[begin : begin + size]) for begin in range(0, len(whole), size)]
    numbers = np.concatenate([*numbers, numbering.finish()])
    names, number, counts = numbering.found()
    expected = plain.tokens(text, "raw", kind)
    name = dict(zip(number.tolist(), names, strict=True))
    assert [name[k] for k in numbers.tolist()] == expected
    assert counts.tolist() == [expected.count(token) for token in names]
    assert number.tolist() == sorted(set(number.tolist()))


def test_too_many_different_words_are_refused(monkeypatch):
    monkeypatch.setattr(tokens, "DISTINCT_WORDS", 3)
    with pytest.raises(DataError, match="more than 3 different words"):
        NUMBERINGS["word"]().feed("a b c d ")


def test_a_text_without_white_space_has_no_words(monkeypatch):
    monkeypatch.setattr(tokens, "LONGEST_WORD", 10)
    words = NUMBERINGS["word"]()
    words.feed("a" * 10)
    with pytest.raises(DataError, match="more than 10 characters without white space"):
        words.feed("a")


def test_an_unknown_kind_is_refused():
    with pytest.raises(ArgumentError, match='must be char, byte, word, got "bpe"'):
        tokenize("a", "bpe")
