"""Figures as JSON, and the pieces of a page that need no browser."""

import base64
import json
import math

import numpy as np
import pytest
import torch

import tidegate
from tidegate.calculus import trace
from tidegate.cells import CELLS
from tidegate.report.figures import Axis, Mark, Plot, Row, Series, plain
from tidegate.report.inspection.run import bounds, keeping_gate, meanings
from tidegate.report.live import live_part, packed, stored_values
from tidegate.report.page import Answer, Markup, Page, Section, json_in_html, render
from tidegate.report.text import shown
from tidegate.text import tokenize


def test_numbers_that_are_not_finite_become_null_and_absent_fields_are_left_out():
    series = Series("a", "train", [1, 2, 3], [0.5, math.nan, -math.inf])
    found = plain(Plot("p", "Said.", Axis("x"), Axis("y", range=(0, 1)), [series], [Mark("y", 0.25, "m")]))
    assert found["series"][0]["y"] == [0.5, None, None]
    assert "low" not in found["series"][0]
    assert found["y"]["range"] == [0, 1]
    assert plain(Row("r", "train", None))["value"] is None


def test_numbers_keep_nine_digits():
    values = np.random.default_rng(1).standard_normal(100) * 1e-7
    np.testing.assert_allclose(plain(values.tolist()), values, rtol=6e-9)


def test_json_in_a_page_cannot_end_its_element_and_reads_back():
    value = {"</script>": ["<!--", "\u2028", "é", 1.5, None, True]}
    text = json_in_html(value)
    assert "<" not in text
    assert "\u2028" not in text
    assert json.loads(text) == value


def test_sentences_and_notes_of_a_section_are_escaped():
    section = Section("s", "<i>", [Answer("<u>", "<b>", "first")], [Markup("<hr>")], ["<s>"])
    html = render(Page("<t>", Markup(""), [section], {"runs": []}, footer="<f>"))
    for tag in ("<i>", "<u>", "<b>", "<s>", "<t>", "<f>"):
        assert tag not in html.split("<main>")[0] + html.split('id="story">')[1].split("<script")[0]
    assert "<hr>" in html


def test_eight_bits_hold_a_value_to_half_a_step():
    values = np.random.default_rng(2).uniform(-3, 5, (7, 9))
    found = packed(values, -3.0, 5.0)
    levels = np.frombuffer(base64.b64decode(found["base64"]), np.uint8).reshape(7, 9)
    np.testing.assert_allclose(found["low"] + levels * (8 / 255), values, atol=4 / 255 + 1e-9)


def test_stored_values_are_those_of_the_chosen_units_even_where_they_are_constant():
    array = np.full((5, 4), 2.5)
    (found,) = stored_values({(1, "h"): array}, {1: [3, 0]})
    assert (found["layer"], found["name"], found["units"]) == (1, "h", [3, 0])
    assert found["low"] == found["high"] == 2.5
    assert len(base64.b64decode(found["base64"])) == 10


def test_all_models_together_get_the_largest_storage_that_fits():
    models = [tidegate.LanguageModel(cell, 7, 9) for cell in ("gru", "lstm")]
    numbers = sum(p.numel() for model in models for p in model.parameters())
    assert live_part(models, math.ceil(numbers * 4 * 4 / 3)).storage == "float32"
    assert live_part(models, math.ceil(numbers * 4 * 4 / 3) - 1).storage == "float16"
    assert live_part(models, math.ceil(numbers * 2 * 4 / 3)).storage == "float16"
    none = live_part(models, math.ceil(numbers * 2 * 4 / 3) - 1)
    assert none.storage is None
    assert f"{numbers:,} weights" in none.missing


@pytest.mark.parametrize(("kind", "text", "expected"), [
    ("char", "aé\n", ["a", "é", "\n"]),
    ("byte", "aé\n", ["a", "", "é", "\n"]),
    ("word", "to be\nor", ["to", " be", "\n", "or"]),
])  # fmt: skip
def test_tokens_are_shown_so_that_together_they_are_the_text(kind, text, expected):
    found = list(shown(tokenize(text, kind), kind))
    assert found == expected
    assert "".join(found) == text


def test_an_unknown_token_is_shown_as_the_replacement_character():
    assert list(shown(["a", "<unk>"], "char")) == ["a", "\ufffd"]


def test_gates_have_the_meanings_of_the_cells_docstring_and_ranges_of_their_equations():
    gru, lstm, relu = (trace(CELLS[name]) for name in ("gru", "lstm", "rnn-relu"))
    assert meanings(gru)["z"] == "update gate: 1 keeps the state"
    assert meanings(lstm) == {
        "i": "input gate",
        "f": "forget gate: 1 keeps the cell",
        "g": "candidate",
        "o": "output gate",
    }
    assert keeping_gate(gru) == "z"
    assert keeping_gate(lstm) == "f"
    assert keeping_gate(relu) is None
    assert bounds(lstm, "f") == (0, 1)
    assert bounds(lstm, "g") == (-1, 1)
    assert bounds(relu, relu.gates[0]) is None


def test_a_page_of_a_model_is_small_besides_its_weights():
    torch.manual_seed(0)
    html = render(Page("t", Markup(""), [], {"runs": []}))
    assert len(html) < 120_000
