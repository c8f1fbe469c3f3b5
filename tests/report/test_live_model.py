"""The model that runs in the page, in a browser: stored and own text, writing on, and experiments."""

from dataclasses import replace

import numpy as np
import pytest
from selenium.webdriver.common.keys import Keys
from tests.export.cells import Everything
from tests.report.browsing import all_of, find, replayed, traces, wait
from tests.report.conftest import PASSAGE, losses

from tidegate.cells import CELLS
from tidegate.report.inspection import inspection_page
from tidegate.text import tokenize
from tidegate.text.preprocess import letters

ALL = {**CELLS, "own": Everything}


@pytest.mark.parametrize("name", ALL)
def test_the_model_in_the_page_repeats_the_stored_log_probabilities(name, bare, open_page):
    page = open_page(inspection_page(*bare(ALL[name], layers=2)))
    assert replayed(page) < 1e-5
    assert "do not trust" not in find(page, "#sure").text
    assert len(all_of(page, ".text span")) == len(PASSAGE)


def test_a_model_that_differs_from_the_stored_figures_is_reported(bare, open_page):
    found, models = bare("gru")
    found[0].passage["loss"][7] *= 1.01
    page = open_page(inspection_page(found, models))
    assert replayed(page) == pytest.approx(0.01 / 1.01, rel=1e-3)
    assert "do not trust the numbers" in find(page, "#sure").text


def test_own_text_is_read_as_it_is_typed_and_unknown_characters_are_marked(bare, open_page):
    found, models = bare("gru")
    page = open_page(inspection_page(found, models))
    replayed(page)
    text = 'no é "way"'
    find(page, "textarea").send_keys(text)
    wait(page, lambda: traces(page, "trace.ready") == len(text))
    assert [e.text for e in all_of(page, ".text span.unknown")] == ["é"]
    assert "Not in the vocabulary of the model: “é”" in find(page, ".notice").text
    loss, _ = losses(models[0], text)
    bits = traces(page, "trace.indices.map((_, t) => trace.bits(t))")
    np.testing.assert_allclose(bits[1:], loss / np.log(2), atol=1e-5)
    find(page, "textarea").send_keys(Keys.CONTROL + "a", Keys.BACKSPACE)
    wait(page, lambda: len(all_of(page, ".text span")) == len(PASSAGE))


def test_the_model_continues_the_text_until_it_is_stopped_and_shows_the_probabilities_of_what_it_wrote(bare, open_page):
    found, models = bare("gru")
    page = open_page(inspection_page(found, models))
    replayed(page)
    button = next(b for b in all_of(page, "button") if b.text == "Continue the text")
    page.execute_script("arguments[0].click()", button)
    wait(page, lambda: traces(page, "trace.length") > len(PASSAGE) + 40)
    page.execute_script("arguments[0].click()", button)
    assert button.text == "Continue the text"
    length = traces(page, "trace.length")
    written = traces(page, "trace.shown.join('')")
    assert "<unk>" not in written
    loss, _ = losses(models[0], written)
    bits = traces(page, "trace.indices.map((_, t) => trace.bits(t))")
    np.testing.assert_allclose(bits[1:], loss[: length - 1] / np.log(2), atol=1e-5)
    assert len(all_of(page, ".text span.written")) == length - len(PASSAGE)


def test_a_changed_character_changes_the_predictions_after_it_as_in_python(bare, open_page):
    found, models = bare("lstm")
    page = open_page(inspection_page(found, models), fragment="#at=40")
    replayed(page)
    page.execute_script("""
        const box = document.getElementById("experiment");
        box.querySelector("select").value = "(";
        [...box.querySelectorAll("button")].find((b) => b.textContent === "Change it").click();""")
    wait(page, lambda: find(page, "#experiment [role=status]").text)
    change = traces(page, "[...trace.change]")
    changed = PASSAGE[:40] + "(" + PASSAGE[41:]
    _, before = losses(models[0], PASSAGE)
    _, after = losses(models[0], changed)
    np.testing.assert_allclose(change[:-1], np.abs(before - after).sum(1) / 2, atol=1e-5)
    assert not any(change[:40])
    page.execute_script(
        "[...document.querySelectorAll('#experiment button')].find((b) => b.textContent === 'Undo').click()"
    )
    assert traces(page, "trace.shown.join('')") == PASSAGE


def test_a_unit_held_at_its_mean_keeps_it(bare, open_page):
    page = open_page(inspection_page(*bare("lstm")))
    replayed(page)
    mean = traces(page, "trace.column(0, 'c', 0).reduce((a, b) => a + b, 0) / trace.ready")
    page.execute_script(
        "[...document.querySelectorAll('#experiment button')].find((b) => b.textContent === 'Hold it').click()"
    )
    wait(page, lambda: find(page, "#experiment [role=status]").text)
    np.testing.assert_allclose(traces(page, "[...trace.column(0, 'c', 0)]"), mean, rtol=1e-5)
    assert max(traces(page, "[...trace.change]")) > 1e-3


@pytest.mark.parametrize(("kind", "text"), [
    ("byte", "naïve “café”\n" * 3), ("word", "the cat sat\n  on the mat\nthe end"),
])  # fmt: skip
def test_bytes_and_words_are_shown_as_the_text_and_own_text_becomes_the_tokens_of_python(kind, text, bare, open_page):
    tokens = tokenize(text, kind)
    found, models = bare("gru", passage=tokens, kind=kind, tokens=tokens)
    page = open_page(inspection_page(found, models))
    assert replayed(page) < 1e-5
    assert traces(page, "trace.shown.join('')").split() == text.split()
    stored = traces(page, "trace.indices")
    page.execute_script("Tidegate.app.read(arguments[0], false)", text)
    assert traces(page, "trace.indices") == stored == models[0].vocabulary.encode(tokens).tolist()
    assert traces(page, "trace.shown.join('')").split() == text.split()


@pytest.mark.parametrize("kind", ["char", "word"])
def test_own_text_is_reduced_to_letters_as_in_python(kind, bare, open_page):
    text = "The Time Machine,\n by H. G. Wells [1898]\n\n\n  I -- é\nIt's 12\n"
    reduced = b"".join(letters([text.encode("ascii", "replace")], b"" if kind == "char" else b"\n")).decode()
    tokens = list(tokenize(reduced, kind))
    found, models = bare("gru", passage=tokens, kind=kind, tokens=tokens)
    models = [replace(models[0], facts=replace(models[0].facts, preprocess="letters"))]
    page = open_page(inspection_page(found, models))
    page.execute_script("Tidegate.app.read(arguments[0], false)", text)
    assert traces(page, "trace.indices") == models[0].vocabulary.encode(tokens).tolist()
