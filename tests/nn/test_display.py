"""Why, traces and replacements in a notebook."""

import pytest
import torch
from tests.html import bad_of, read_html, rows_of
from tests.own_cell import Own

import tidegate
from tidegate.cells import CELLS


@pytest.mark.parametrize("cell", [*CELLS.values(), Own])
def test_why_has_a_row_for_each_engine_and_marks_the_one_that_runs(cell):
    found = tidegate.why(tidegate.Recurrent(cell, 3, 5), torch.randn(4, 2, 3))
    _, *rows = rows_of(found._repr_html_())
    assert [row[1:] for row in rows] == [[v.engine, v.refusal or "can run this"] for v in found]
    assert [row[1] for row in rows if row[0] == "runs it"] == [v.engine for v in found if v.chosen]
    assert found.summary in "".join(read_html(found._repr_html_()).itertext())


@pytest.mark.parametrize("cell", [*CELLS.values(), Own])
def test_a_trace_has_a_row_for_each_array_with_its_range(cell):
    found = tidegate.trace(tidegate.Recurrent(cell, 3, 5, num_layers=2), torch.randn(4, 2, 3))
    _, *rows = rows_of(found._repr_html_())
    assert [row[0] for row in rows] == list(found)
    for name, shape, least, mean, most in rows:
        values = found[name].detach().double().numpy()
        assert shape == "4 × 2 × 5"
        assert (least, mean, most) == (f"{values.min():.3g}", f"{values.mean():.3g}", f"{values.max():.3g}")


def test_a_trace_without_sequences_is_shown_without_numbers():
    found = tidegate.trace(tidegate.GRU(3, 5), torch.randn(4, 0, 3))
    assert {tuple(row[2:]) for row in rows_of(found._repr_html_())[1:]} == {("-", "-", "-")}


def test_replacements_name_each_module_and_what_prevents_it():
    class Changed(torch.nn.GRU):
        def forward(self, x, h=None):
            return x, h

    model = torch.nn.ModuleDict({"first": torch.nn.GRU(3, 4), "second": Changed(4, 4)})
    shown = tidegate.convert.replacements(model)._repr_html_()
    rows = rows_of(shown)[1:]
    assert [row[:2] for row in rows] == [["first", "GRU"], ["second", "Changed"]]
    assert rows[0][2] == "can be replaced"
    assert bad_of(shown) == [rows[1][2]]
    nothing = tidegate.convert.replacements(torch.nn.Linear(2, 2))._repr_html_()
    assert "no recurrent module" in "".join(read_html(nothing).itertext())
