"""The page fits its window: tables, the column of the text, labels of figures, and the way to the text on a phone."""

import re

import pytest
from selenium.webdriver.common.by import By
from tests.report.browsing import all_of, find, press, replayed, traces, wait

from tidegate.report.inspection import inspection_page

DIRECTIONAL = "\u202e"


def open_all_tables(page):
    page.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    wait(page, lambda: len(all_of(page, ".tools details .scroll table")) == len(all_of(page, ".tools details")))


def box(page, selector):
    return page.execute_script(
        "const b = document.querySelector(arguments[0]).getBoundingClientRect();"
        "return {top: b.top, bottom: b.bottom, left: b.left, right: b.right}",
        selector,
    )


def jump(page, selector):
    page.execute_script(
        "document.documentElement.style.scrollBehavior = 'auto';"
        "document.querySelector(arguments[0]).scrollIntoView({block: 'start'})",
        selector,
    )


@pytest.mark.parametrize("width", [1400, 390])
def test_open_tables_scroll_inside_their_boxes_and_the_page_is_as_wide_as_the_window(width, complete, open_page):
    page = open_page(inspection_page(*complete), width=width)
    replayed(page)
    open_all_tables(page)
    assert page.execute_script("const e = document.documentElement; return e.scrollWidth <= e.clientWidth")
    if width == 390:  # some table is wider than its box, so the check above can fail
        assert page.execute_script(
            "return [...document.querySelectorAll('.tools .scroll')].some((e) => e.scrollWidth > e.clientWidth)"
        )


def test_numbers_of_tables_have_four_digits_and_one_minus_sign(complete, open_page):
    page = open_page(inspection_page(*complete))
    open_all_tables(page)
    cells = page.execute_script(
        "return [...document.querySelectorAll('.tools td:not(:first-child)')].map((e) => e.textContent)"
    )
    assert len(cells) > 500
    assert any(cell.startswith("−") for cell in cells)
    for cell in cells:
        assert re.fullmatch(r"–|−?[\d,]+|−?0\.0*[1-9]\d{0,3}|−?(?=[\d.]{1,5}(?:e|$))[\d.]+(e−?\d+)?", cell), cell


@pytest.mark.parametrize("mode", ["surprise", "unit", "past", "change"])
@pytest.mark.parametrize(("runs", "width", "height"), [(1, 1366, 680), (2, 1400, 900)])
def test_the_text_and_the_button_that_continues_it_are_in_the_window_together(
    mode, runs, width, height, complete, open_page
):
    found, models = complete
    page = open_page(inspection_page(found[:runs], models[:runs]), width=width, height=height)
    replayed(page)
    page.execute_script("Tidegate.app.read('She said: no way. '.repeat(60), false)")
    page.execute_script("Tidegate.app.store.set({mode: arguments[0]})", mode)
    jump(page, "#gates")
    assert page.execute_script("const r = document.getElementById('reader'); return r.scrollHeight <= r.clientHeight")
    text, area, button = box(page, ".text"), box(page, "textarea"), box(page, ".composer .row")
    assert 0 <= text["top"] < text["bottom"] - 70
    assert text["bottom"] <= box(page, ".detail")["top"] < area["top"] < button["bottom"] <= height
    for detail in all_of(page, ".detail"):
        assert detail.rect["y"] + detail.rect["height"] <= find(page, "textarea").rect["y"]


def test_on_a_phone_choosing_a_unit_shows_the_text_and_a_button_leads_back_to_the_table(one, open_page):
    page = open_page(inspection_page(*one), width=390, height=844)
    replayed(page)
    jump(page, "table.units")
    button = all_of(page, "table.units button")[-1]
    before = page.execute_script("return arguments[0].getBoundingClientRect().top", button)
    assert box(page, ".text")["bottom"] < 0 < before
    page.execute_script("arguments[0].click()", button)
    assert 0 <= box(page, ".text")["top"] < 500
    press(page, "Back to the table")
    assert 0 < page.execute_script("return arguments[0].getBoundingClientRect().top", button) < 844
    assert page.switch_to.active_element == button
    assert not all_of(page, ".back")


def test_beside_the_text_choosing_a_unit_does_not_scroll(one, open_page):
    page = open_page(inspection_page(*one))
    replayed(page)
    jump(page, "table.units")
    before = page.execute_script("return scrollY")
    page.execute_script("arguments[0].click()", all_of(page, "table.units button")[-1])
    assert page.execute_script("return scrollY") == before
    assert not all_of(page, ".back")


def draw(page, kind, spec):
    """A figure of its own in the page; returns its element."""
    page.execute_script(
        "const holder = document.createElement('figure'); holder.id = 'tried';"
        "document.getElementById('story').prepend(holder); Tidegate[arguments[0]](holder, arguments[1])",
        kind,
        {"id": "tried", "sentence": "Tried.", "marks": [], "keys": [], **spec},
    )
    return find(page, "#tried")


def test_long_labels_of_rows_are_wrapped_and_whole(bare, open_page):
    page = open_page(inspection_page(*bare("gru")), width=390, height=844)
    label = "unit 36 (layer 1), position in a line of the text and one_very_long_word_without_any_space_in_it"
    rows = [{"label": words, "role": "first", "value": v} for words, v in ((label, 0.1), ("short", 0.2))]
    title = "extra loss where the feature is on, minus elsewhere, in nats per token"
    figure = draw(page, "rows", {"x": {"label": title}, "rows": rows})
    texts = [e.get_attribute("textContent") for e in figure.find_elements(By.CSS_SELECTOR, "g:first-of-type text")]
    assert len(texts) > 3
    assert "".join(texts[:-1]).replace(" ", "") == label.replace(" ", "")
    assert "…" not in figure.get_attribute("textContent")
    for text in figure.find_elements(By.CSS_SELECTOR, "svg text"):
        assert text.rect["x"] >= 0
        assert text.rect["x"] + text.rect["width"] <= 390


@pytest.mark.parametrize("values", [[4e-6, 1.25e-5, 2e-5], [-5.7e-4, -1e-4, 3.3e-4], [-123456.0, 5.0, 1234567.0]])
def test_labels_of_an_axis_are_beside_its_title_and_inside_the_figure(values, bare, open_page):
    page = open_page(inspection_page(*bare("gru")))
    series = [{"label": "a", "role": "first", "line": True, "x": [1, 2, 3], "y": values}]
    figure = draw(page, "plot", {"series": series, "x": {"label": "x"}, "y": {"label": "change of the prediction"}})
    title = next(e for e in figure.find_elements(By.CSS_SELECTOR, "text[transform]"))
    ticks = figure.find_elements(By.CSS_SELECTOR, ".grid + text")
    assert len(ticks) >= 2
    for tick in ticks:
        assert tick.rect["x"] >= title.rect["x"] + title.rect["width"]
    assert title.rect["x"] >= figure.rect["x"]


@pytest.mark.parametrize("scale", ["log", "exponent", "linear"])
@pytest.mark.parametrize(("low", "high"), [(1.1, 1.9), (6.1, 8.9), (0.9, 1.1), (2.0, 40.0), (1e-3, 1e5), (3.0, 3.0)])
def test_every_axis_has_at_least_two_ticks_with_different_labels(scale, low, high, bare, open_page):
    page = open_page(inspection_page(*bare("gru")))
    labels = page.execute_script(
        "const [scale, low, high] = arguments, put = scale === 'exponent' ? Math.log10 : (v) => v;"
        "const axis = Tidegate.axis({scale}, [put(low), put(high)], 0, 300, 3);"
        "return axis.ticks.filter((v) => axis.at(v) >= 0 && axis.at(v) <= 300).map(axis.label)",
        scale, low, high,
    )  # fmt: skip
    assert len(labels) >= 2
    assert len(set(labels)) == len(labels)


def test_a_directional_character_does_not_turn_the_text_after_it_and_other_scripts_keep_their_direction(
    bare, open_page
):
    page = open_page(inspection_page(*bare("gru")))
    replayed(page)
    text = f"ab{DIRECTIONAL}cd\n\u05d0\u05d1\u05d2"
    page.execute_script("Tidegate.app.read(arguments[0], false)", text)
    assert traces(page, "trace.shown.join('')") == text
    left = page.execute_script(
        "return [...document.querySelectorAll('.text span')].map((e) => e.getBoundingClientRect().left)"
    )
    assert left[:5] == sorted(set(left[:5]))
    assert left[6] > left[7] > left[8]
    assert "“U+202E”" in find(page, ".notice").text
