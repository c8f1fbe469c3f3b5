"""Tables and sentences as HTML."""

from tests.html import bad_of, read_html, rows_of

from tidegate.notebook import Bad, output, paragraph, table

EVIL = '<script>alert("1 & 2")</script>'


def test_every_text_is_escaped():
    shown = output(paragraph(EVIL), paragraph(Bad(EVIL)), table((EVIL, "b"), [(EVIL, Bad(EVIL))], caption=EVIL))
    assert "<script" not in shown
    assert "".join(read_html(shown).itertext()).count(EVIL) == 6
    assert rows_of(shown) == [[EVIL, "b"], [EVIL, EVIL]]
    assert bad_of(shown) == [EVIL, EVIL]


def test_numbers_have_three_digits_and_stand_to_the_right_with_the_name_of_their_column():
    shown = output(table(("name", "value", "mixed"), [("a", 0.123456, 1), ("b", 12345, "text"), ("c", -1e-9, 2)]))
    assert [row[1:] for row in rows_of(shown)] == [
        ["value", "mixed"], ["0.123", "1"], ["12,345", "text"], ["-1e-09", "2"],
    ]  # fmt: skip
    right = ["".join(e.itertext()) for e in read_html(shown).iter("th") if e.get("class") == "tg-number"]
    assert right == ["value"]


def test_a_table_may_have_no_head_and_no_rows():
    assert rows_of(output(table((), [("a", 1)]))) == [["a", "1"]]
    assert rows_of(output(table(("a", "b"), []))) == [["a", "b"]]
