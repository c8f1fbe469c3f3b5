"""Texts prepared for training."""

import math

import pytest

from tidegate.errors import DataError
from tidegate.text.corpora import load_text
from tidegate.text.dataset import make_dataset, make_part
from tidegate.text.source import Text
from tidegate.text.vocabulary import Vocabulary


def text(content: str) -> Text:
    return Text.of("mine", content)


def test_the_parts_are_the_text_under_one_vocabulary():
    dataset = make_dataset(text("abcabcabcabcabcabczz"))
    assert dataset.vocabulary.decode(dataset.train.ids[:]) == "abcabcabcabcabcabc"
    assert dataset.vocabulary.decode(dataset.heldout.ids[:]) == "zz"
    assert (dataset.heldout.unknown, dataset.heldout.characters) == (0, 1)


def test_bits_per_character_count_the_characters_that_the_predicted_tokens_spell():
    characters = make_dataset(text("ab" * 10)).heldout
    assert characters.bpc(math.log(2)) == pytest.approx(1)
    words = make_dataset(text("aa bb cccc\n" * 10), tokens="word").heldout  # "aa bb cccc\n", the last three predicted
    assert words.bpc(math.log(2)) == pytest.approx(3 / 9)
    latin = make_dataset(text("é" * 5 + "e" * 5), tokens="byte", heldout=5).heldout
    assert latin.characters == 4


def test_another_text_may_have_unknown_tokens():
    vocabulary = Vocabulary.build("abc")
    part = make_part(text("abxyb"), vocabulary)
    assert (part.unknown, part.characters, len(part)) == (2, 4, 5)
    dataset = make_dataset(text("abxyb" * 4), vocabulary=vocabulary)
    assert dataset.vocabulary is vocabulary
    assert dataset.train.unknown + dataset.heldout.unknown == 8


def test_a_given_vocabulary_fixes_the_kind_of_token():
    part = make_part(text("é!"), Vocabulary.build("", "byte"))
    assert part.ids[:].tolist() == list("é!".encode())


def test_min_freq_reaches_the_vocabulary():
    dataset = make_dataset(text("a a b a a\n" * 3 + "c a a"), tokens="word", min_freq=2, heldout=3)
    assert dataset.heldout.unknown == 1


@pytest.mark.parametrize(
    ("content", "settings", "message"),
    [
        ("a" * 100, {}, "is 90 times the same token 'a'"),
        ("\n \t" * 30, {"tokens": "word"}, "is 27 times the same token"),
        (" \t" * 9, {"tokens": "word"}, "raw word tokens keep only characters that are not white space"),
        ("日本語" * 9, {"preprocessing": "letters"}, "letters char tokens keep only the letters a to z"),
        ("a b\n" * 99, {"tokens": "word", "min_freq": 100}, "times the same token '<unk>'.* or a smaller `min_freq`"),
        ("ab", {}, "2 tokens: too short"),
    ],
)
def test_a_text_without_enough_different_tokens_is_refused(content, settings, message):
    with pytest.raises(DataError, match=message):
        make_dataset(text(content), **settings)


def test_a_part_without_a_complete_character_is_refused():
    with pytest.raises(DataError, match="2 byte tokens holds no complete character"):
        make_dataset(text("ab" * 9 + "語"), tokens="byte", heldout=2)


def test_a_text_of_one_token_cannot_be_evaluated():
    with pytest.raises(DataError, match="has 1 token"):
        make_part(text("a"), Vocabulary.build("a"))


def test_the_textbook_s_setting(reference):
    dataset = make_dataset(
        load_text(str(reference("timemachine.txt"))), preprocessing="letters", first=10_000, heldout=10_000
    )
    assert (len(dataset.train), len(dataset.heldout), len(dataset.vocabulary)) == (10_000, 10_000, 28)
    assert dataset.heldout.unknown == 0


def test_only_the_beginning_of_a_large_held_out_part_is_evaluated(monkeypatch):
    monkeypatch.setattr("tidegate.text.dataset.EVALUATED", 5)
    assert len(make_dataset(text("abcdefghij" * 10)).heldout) == 10
    monkeypatch.setattr("tidegate.text.source.LARGE", 50)
    dataset = make_dataset(text("abcdefghij" * 10))
    assert (len(dataset.train), len(dataset.heldout), dataset.heldout_of) == (90, 5, 10)
    assert dataset.vocabulary.decode(dataset.heldout.ids[:]) == "abcde"
    assert dataset.heldout.characters == 4


def test_a_number_of_held_out_tokens_is_evaluated_in_full(monkeypatch):
    monkeypatch.setattr("tidegate.text.dataset.EVALUATED", 5)
    monkeypatch.setattr("tidegate.text.source.LARGE", 50)
    dataset = make_dataset(text("abcdefghij" * 10), heldout=20)
    assert len(dataset.heldout) == dataset.heldout_of == 20


def test_bytes_that_are_not_text_count_as_one_character_each():
    dataset = make_dataset(Text.of("mine", bytes(range(256)) * 2), tokens="byte", heldout=200)
    assert dataset.heldout.characters == 199


def test_a_text_of_a_byte_order_mark_has_no_token():
    with pytest.raises(DataError, match="it is only a byte order mark"):
        make_dataset(text("\ufeff"))
