"""The textbook's letters, from a text that comes in pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.text import plain

from tidegate.text.corpora import load_text
from tidegate.text.preprocess import letters


def cut(raw: bytes, size: int) -> list[bytes]:
    return [raw[begin : begin + size] for begin in range(0, len(raw), size)]


TEXTS = st.text(st.sampled_from("aZé \n\r\t,語"))


@given(TEXTS, st.integers(1, 9))
def test_pieces_of_any_size_give_the_letters_of_each_line(text, size):
    expected = "".join(plain.lines(text, "letters")).encode()
    assert b"".join(letters(cut(text.encode(), size))) == expected


@given(TEXTS, st.integers(1, 9))
def test_lines_can_be_joined_by_a_space_for_words(text, size):
    expected = [word.encode() for line in plain.lines(text, "letters") for word in line.split()]
    assert b"".join(letters(cut(text.encode(), size), between=b" ")).split() == expected


def test_letters_are_lower_case_with_one_space_for_each_run_of_others():
    assert b"".join(letters([b"  The -- Time,\r\n\r\nMachine, 1895!\n"])) == b"the timemachine"


def test_the_time_machine_has_the_textbook_s_170580_letters(reference):
    text = b"".join(letters(load_text(str(reference("timemachine.txt"))).chunks()))
    assert text.startswith(b"the time machine by h g wells")
    assert len(text) == 170_580
    assert len(set(text)) == 27


@pytest.mark.parametrize("pieces", [[], [b""], [b"\n", b" 1"]])
def test_a_text_without_letters_has_no_tokens(pieces):
    assert b"".join(letters(pieces)) == b""
