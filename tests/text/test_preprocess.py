"""Raw lines and the textbook's letters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import ArgumentError
from tidegate.text.corpora import load_text
from tidegate.text.preprocess import letters, preprocess, raw


@given(st.text())
def test_raw_lines_joined_are_the_text(text):
    assert "".join(raw(text)) == text


def test_only_a_line_feed_ends_a_raw_line():
    assert raw("a\u2028b\r\n\x0bc\n\nd") == ["a\u2028b\r\n", "\x0bc\n", "\n", "d"]


def test_letters_are_lower_case_with_one_space_for_each_run_of_others():
    assert letters("  The -- Time,\r\n\r\nMachine, 1895!\n") == ["the time", "", "machine", ""]


@given(st.text())
def test_letters_has_nothing_but_letters_and_single_inner_spaces(text):
    for line in letters(text):
        assert set(line) <= set("abcdefghijklmnopqrstuvwxyz ")
        assert "  " not in line
        assert line == line.strip()


def test_the_time_machine_has_the_textbook_s_170580_letters(reference):
    lines = letters(load_text(str(reference("timemachine.txt"))).text)
    assert lines[0] == "the time machine by h g wells"
    assert len("".join(lines)) == 170_580


def test_an_unknown_preprocessor_is_refused():
    with pytest.raises(ArgumentError, match='must be raw or letters, got "stems"'):
        preprocess("a", "stems")
