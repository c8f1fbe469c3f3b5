"""Bytes in chunks to characters, and where they do not fit the encoding."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import DataError
from tidegate.text.decoding import codec, decoded


def cut(raw: bytes, size: int) -> list[bytes]:
    return [raw[begin : begin + size] for begin in range(0, len(raw), size)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-7", "gb18030"])
@given(st.text(st.characters(exclude_characters="\0\ufeff", codec="utf-8")), st.integers(1, 9))
def test_chunks_may_end_inside_a_character(encoding, text, size):
    assert "".join(decoded(cut(text.encode(encoding), size), encoding, "t")) == text


@given(st.integers(1, 9))
def test_only_the_byte_order_mark_at_the_start_is_dropped(size):
    assert "".join(decoded(cut("\ufeffa\ufeff".encode(), size), "utf-8", "t")) == "a\ufeff"


def test_line_ends_stay_as_they_are():
    assert "".join(decoded([b"a\r", b"\nb\r\n"], "utf-8", "t")) == "a\r\nb\r\n"


@pytest.mark.parametrize("size", [1, 2, 3, 4, 100])
@pytest.mark.parametrize(
    ("raw", "encoding", "byte", "offset"),
    [
        (b"caf\xe9 cr\xe8me", "utf-8", "e9", 3),
        ("é語".encode() + b"\xff", "utf-8", "ff", 5),
        ("aé語".encode()[:-1], "utf-8", "e8", 3),  # cut inside the last character
        (b"ab\x81", "gb18030", "81", 2),
        (b"abc\x81", "cp1252", "81", 3),
        (b"a\0b", "utf-16-le", "62", 2),
    ],
)
def test_a_byte_that_does_not_fit_is_named_with_its_offset(raw, encoding, byte, offset, size):
    with pytest.raises(DataError, match=rf"the text t is not {encoding}: byte 0x{byte} at offset {offset} "):
        list(decoded(cut(raw, size), encoding, "t"))


@pytest.mark.parametrize("size", [1, 2, 100])
def test_a_nul_byte_is_named_with_its_offset(size):
    with pytest.raises(DataError, match=r"NUL byte at offset 5\. .*--tokens byte"):
        list(decoded(cut("aé語".encode()[:3] + b"ab\0\0", size), "utf-8", "t"))


@pytest.mark.parametrize("encoding", ["klingon", "hex", "rot13", ""])
def test_a_name_that_is_not_a_text_encoding_is_refused(encoding):
    with pytest.raises(DataError, match="must be one that Python supports"):
        codec(encoding)
