"""Tokens and the characters that they end with."""

import numpy as np
import pytest
import torch
from tests.insight.planted import as_trained, random_model

from tidegate.errors import ArgumentError, ArgumentTypeError, ShapeError
from tidegate.insight.reading import read, token_ends
from tidegate.insight.subject import as_subject
from tidegate.text import Text, Vocabulary, make_part, tokenize

TEXT = "Zoë said:  “no, no”\n\n\tthen left.\u00a0So\n"


def subject(kind, text=TEXT, preprocess="raw"):
    vocabulary = Vocabulary.build(tokenize(text, kind), kind)
    return as_subject(as_trained(random_model("gru", vocabulary), vocabulary, preprocess=preprocess))


def test_a_character_is_its_own_last_character():
    assert token_ends(TEXT, "char").tolist() == list(range(len(TEXT)))


def test_a_byte_belongs_to_its_character():
    ends = token_ends(TEXT, "byte")
    assert len(ends) == len(tokenize(TEXT, "byte"))
    for at in range(len(TEXT)):
        assert (ends == at).sum() == len(TEXT[at].encode())


def test_a_word_ends_with_its_last_character():
    ends, tokens = token_ends(TEXT, "word"), tokenize(TEXT, "word")
    assert len(ends) == len(tokens)
    for end, token in zip(ends, tokens):
        assert TEXT[end + 1 - len(token) : end + 1] == token


@pytest.mark.parametrize("kind", ["char", "byte", "word"])
def test_indices_give_the_reading_of_the_text_that_they_spell(kind):
    plain = " ".join(TEXT.split(" ")) if kind != "word" else "So they left .\nNo , no\n"
    own = subject(kind, plain)
    by_text = read(own, plain, "find")
    by_ids = read(own, by_text.ids, "find")
    assert by_ids.text == plain
    assert by_ids.ids.equal(by_text.ids)
    np.testing.assert_array_equal(by_ids.ends, by_text.ends)


def test_an_unknown_token_ends_where_its_text_ends():
    by_ids = read(subject("char", "ab"), torch.tensor([1, 0, 2]), "find")
    assert by_ids.text == "a<unk>b"
    assert by_ids.ends.tolist() == [0, 5, 6]


def test_bytes_that_are_not_text_have_one_character_each():
    ids = torch.tensor([0x61, 0xFF, 0xC3, 0xAB])
    by_ids = read(subject("byte"), ids, "find")
    assert by_ids.ends.tolist() == [0, 1, 2, 2]


@pytest.mark.parametrize("kind", ["char", "word"])
def test_a_model_of_letters_reads_letters_as_in_its_training(kind):
    text = "The Time\n  Machine, by H. G.\n"
    vocabulary = Vocabulary.build(tokenize("the time machine by h g", kind), kind)
    own = as_subject(as_trained(random_model("gru", vocabulary), vocabulary, preprocess="letters"))
    part = make_part(Text.of("x", text), vocabulary, preprocessing="letters")
    assert read(own, text, "find").ids.equal(part.ids[:])


@pytest.mark.parametrize(("data", "error", "words"), [
    ([[1, 2]], ShapeError, r"`find` must be a text or token indices \(N,\), got torch.int64 of \(1, 2\)"),
    ([1.0, 2.0], ShapeError, "got torch.float32"),
    ([0, 99], ArgumentError, "`find` must have token indices in 0..2, got 0..99"),
])  # fmt: skip
def test_invalid_indices_are_named(data, error, words):
    with pytest.raises(error, match=words):
        read(subject("char", "ab"), data, "find")


def test_a_model_without_a_vocabulary_cannot_read():
    model = random_model("gru", Vocabulary.build("ab"))
    with pytest.raises(ArgumentTypeError, match=r"`model` must have a vocabulary.*tidegate.load"):
        read(as_subject(model), "ab", "find")
