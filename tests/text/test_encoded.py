"""The streamed tokens of a text are those of the text read at once."""

from collections import Counter
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.text import plain

from tidegate.errors import ArgumentError, DataError
from tidegate.text import source
from tidegate.text.encoded import encode
from tidegate.text.progress import Progress
from tidegate.text.source import Text
from tidegate.text.token_array import TokenArray
from tidegate.text.vocabulary import Vocabulary

ALL = [(preprocessing, kind) for preprocessing in ("raw", "letters") for kind in ("char", "byte", "word")]
TEXTS = st.text(st.sampled_from("aabbBé \n\r\t,語😀")).map(lambda text: text + " <unk> x")


def encoded(text, preprocessing="raw", kind="char"):
    table, blocks = encode(text, preprocessing, kind, BytesIO(), Progress())
    return table, np.concatenate(list(blocks))


def check(text: str, preprocessing: str, kind: str) -> None:
    """The table, the indices and the number of characters against the plain definition."""
    table, indices = encoded(Text.of("t", text), preprocessing, kind)
    expected = plain.tokens(text, preprocessing, kind)
    assert len(indices) == table.count == len(expected)
    counts = Counter(expected)
    assert table.counts.tolist() == [counts[token] for token in table.tokens]
    assert indices.dtype.itemsize == np.min_scalar_type(len(table.tokens) - 1).itemsize
    for min_freq in (1, 2, 3):
        vocabulary = Vocabulary.build(expected, kind, min_freq=min_freq)
        assert table.vocabulary(min_freq) == vocabulary
        mapping = table.indices(vocabulary)
        found = indices if mapping is None else mapping[indices]
        assert found.tolist() == vocabulary.encode(expected).tolist()
    if expected:
        characters = plain.characters(expected, kind) - plain.characters(expected[:1], kind)
        assert table.characters(TokenArray(indices)) == characters


@pytest.mark.parametrize(("preprocessing", "kind"), ALL)
@given(text=TEXTS, size=st.integers(1, 9))
def test_chunks_of_any_size_give_the_tokens_of_the_text(preprocessing, kind, text, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "CHUNK", size)
        check(text, preprocessing, kind)


@pytest.mark.parametrize(("preprocessing", "kind"), ALL)
@pytest.mark.parametrize("file", ["timemachine.txt", "tinyshakespeare.txt", "ptb/ptb.valid.txt"])
def test_known_corpora_have_their_known_tokens(reference, file, preprocessing, kind, monkeypatch):
    monkeypatch.setattr(source, "CHUNK", 65_537)
    check(reference(file).read_bytes().decode(), preprocessing, kind)


def test_thousands_of_characters_take_two_bytes_each():
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 5000))) * 2 + "😀"
    check(text, "raw", "char")
    assert encoded(Text.of("t", text))[1].dtype == np.uint16


def test_byte_tokens_are_the_bytes_of_any_file():
    raw = bytes(range(256)) * 3 + b"\xff\xfe\0"
    table, indices = encoded(Text.of("t", raw), "raw", "byte")
    assert indices.tobytes() == raw
    assert not table.is_utf8
    assert table.characters(TokenArray(indices)) == len(raw) - 1  # every byte counts as one


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_byte_tokens_have_no_byte_order_mark(size, monkeypatch):
    monkeypatch.setattr(source, "CHUNK", size)
    assert encoded(Text.of("t", "\ufeffé"), "raw", "byte")[1].tobytes() == "é".encode()


def test_byte_tokens_of_another_encoding_are_those_of_the_utf_8_text():
    text = Text.of("t", "é".encode("utf-16"), encoding="utf-16")
    assert encoded(text, "raw", "byte")[1].tobytes() == "é".encode()


def test_a_text_cut_inside_a_character_is_not_utf_8():
    assert not encoded(Text.of("t", "é".encode()[:1]), "raw", "byte")[0].is_utf8


def test_nul_is_refused_where_a_text_is_decoded():
    with pytest.raises(DataError, match="NUL byte at offset 1"):
        encoded(Text.of("t", "a\0b"))


@pytest.mark.parametrize(("preprocessing", "kind"), [("stems", "char"), ("raw", "bpe")])
def test_a_wrong_setting_is_refused(preprocessing, kind):
    with pytest.raises(ArgumentError, match="must be"):
        encoded(Text.of("t", "ab"), preprocessing, kind)
