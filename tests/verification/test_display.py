"""A verification in a notebook: every number of the printed table, and failures that are seen."""

import pytest
from tests.html import bad_of, read_html, rows_of
from tests.own_cell import Own

import tidegate
from tidegate.cells import CELLS
from tidegate.verification.outcome import Verification


@pytest.mark.parametrize("cell", [*CELLS.values(), Own])
def test_every_quantity_has_a_row_with_its_errors(cell):
    found = tidegate.verify(cell)
    (comparison,) = found.comparisons
    head, *rows = rows_of(found._repr_html_())
    assert head == ["quantity", "norm", *comparison.oracles, "verdict"]
    assert [row[0] for row in rows] == list(dict.fromkeys(check.label for check in comparison.checks))
    written = {(row[0], oracle): error for row in rows for oracle, error in zip(head[2:-1], row[2:-1])}
    for check in comparison.checks:
        assert written[check.label, check.oracle] == f"{check.error:.1e}"
    assert {row[-1] for row in rows} == {"ok"}
    assert repr(found) == f"<Verification: {len(found.checks)} comparisons, all agree>"
    assert bad_of(found._repr_html_()) == []
    assert comparison.title in "".join(read_html(comparison._repr_html_()).itertext())


def test_a_wrong_gradient_is_marked_in_its_row_and_in_words():
    found = tidegate.verify("gru", plant="dn")
    shown = found._repr_html_()
    wrong = [check for check in found.checks if not check.passed]
    assert {row[0] for row in rows_of(shown) if row[-1] == "WRONG"} == {check.label for check in wrong}
    assert repr(found) == f"<Verification: {len(found.checks)} comparisons, {len(wrong)} of them FAILED>"
    assert bad_of(shown).count("WRONG") == len({check.label for check in wrong})
    assert any("The first wrong gradient" in line for line in bad_of(shown))


def test_many_comparisons_are_summed_up_and_failures_are_shown_in_full():
    good, bad = tidegate.verify("rnn").comparisons, tidegate.verify("rnn", plant="random").comparisons
    shown = Verification(good * 6 + bad, 1.0, {"RNN, dn": True, "RNN, other": False})._repr_html_()
    text = "".join(read_html(shown).itertext())
    assert "7 problems: 1 problems failed" in text
    assert "Planted errors: 1 of 2 found." in text
    assert "Not found: RNN, other" in bad_of(shown)
    assert sum(bad[0].title in "".join(e.itertext()) for e in read_html(shown).iter("caption")) == 1
