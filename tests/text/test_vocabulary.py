"""From tokens to indices and back."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import ArgumentError, DataError
from tidegate.text.tokens import tokenize
from tidegate.text.vocabulary import Vocabulary


def test_tokens_are_indexed_by_decreasing_count_after_unk():
    vocabulary = Vocabulary.build("banana b")
    assert vocabulary.tokens == ("<unk>", "a", "b", "n", " ")
    assert vocabulary.unknown == 0
    assert vocabulary.encode("nab?").tolist() == [3, 1, 2, 0]
    assert vocabulary.encode("ab").dtype == torch.int64


def test_rare_tokens_become_unk():
    vocabulary = Vocabulary.build(["a", "b", "a", "<unk>", "<unk>"], "word", min_freq=2)
    assert vocabulary.tokens == ("<unk>", "a")
    assert vocabulary.encode(["b", "<unk>", "a"]).tolist() == [0, 0, 1]


@given(st.text(alphabet=st.characters(codec="utf-8")), st.sampled_from(["char", "byte"]))
def test_a_text_is_decoded_from_its_indices(text, kind):
    tokens = tokenize(text, kind)
    vocabulary = Vocabulary.build(tokens, kind)
    assert vocabulary.decode(vocabulary.encode(tokens)) == text


@given(st.lists(st.lists(st.text("abc,.", min_size=1), min_size=0)))
def test_words_are_decoded_with_single_spaces(lines):
    text = "".join(" ".join(words) + "\n" for words in lines)
    tokens = tokenize(text, "word")
    vocabulary = Vocabulary.build(tokens, "word")
    assert vocabulary.decode(vocabulary.encode(tokens)) == text


@given(st.text(min_size=1), st.sampled_from(["char", "byte", "word"]))
def test_a_vocabulary_is_restored_from_json(text, kind):
    vocabulary = Vocabulary.build(tokenize(text, kind), kind)
    assert Vocabulary.from_json(json.loads(json.dumps(vocabulary.to_json()))) == vocabulary


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"kind": "char", "tokens": []},
        {"kind": "char", "tokens": ["a", "b"]},
        {"kind": "char", "tokens": ["<unk>", "a", "a"]},
        {"kind": "char", "tokens": ["<unk>", "<unk>"]},
        {"kind": "char", "tokens": ["<unk>", 1]},
        {"kind": "char", "tokens": ["<unk>", ["a"]]},
        {"kind": "byte", "tokens": ["<unk>"]},
        {"kind": "bpe", "tokens": ["<unk>"]},
    ],
)
def test_damaged_json_is_refused(data):
    with pytest.raises(DataError, match="vocabulary must be"):
        Vocabulary.from_json(data)


def test_bytes_are_decoded_as_soon_as_a_character_is_complete():
    vocabulary = Vocabulary.build("", "byte")
    assert (len(vocabulary), vocabulary.unknown) == (256, None)
    assert list(vocabulary.stream("aé".encode())) == ["a", "", "é", ""]
    assert vocabulary.decode([0xC3]) == "\ufffd"


def test_streaming_reads_one_index_at_a_time():
    def numbers():
        yield 1
        raise RuntimeError("asked too early")

    assert next(Vocabulary.build("ab").stream(numbers())) == "a"


def test_an_unknown_character_of_a_prompt_is_named_with_the_nearest():
    vocabulary = Vocabulary.build("hello world, it's")
    with pytest.raises(DataError, match=r"character 'H' \(number 1 of the prompt\) is not in .* Nearest: 'h', 'l'"):
        vocabulary.encode_known("Hello")
    assert vocabulary.encode_known("hello").tolist() == vocabulary.encode("hello").tolist()


def test_the_word_unk_itself_may_be_prompted():
    assert Vocabulary.build(["a"], "word").encode_known(["<unk>", "a"]).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("unknown", "nearest"),
    [("A", "a"), ("é", "e"), ("É", "e"), ("’", "'"), ("—", "-"), ("7", "1"), ("ﬁ", "f"), ("?", "'")],
)
def test_the_nearest_character_is_the_one_usually_typed_instead(unknown, nearest):
    assert Vocabulary.build("aaaeef'''-1").nearest(unknown)[0] == nearest


def test_the_nearest_words_have_a_similar_spelling():
    vocabulary = Vocabulary.build(["machine", "traveller", "time"], "word")
    assert vocabulary.nearest("machines") == ["machine"]
    with pytest.raises(DataError, match=r"the word 'travelled' .* Nearest: 'traveller'"):
        vocabulary.encode_known(["time", "travelled"])


@pytest.mark.parametrize(("kind", "min_freq"), [("bpe", 1), ("char", 0)])
def test_a_wrong_setting_is_refused(kind, min_freq):
    with pytest.raises(ArgumentError):
        Vocabulary.build("ab", kind, min_freq=min_freq)
