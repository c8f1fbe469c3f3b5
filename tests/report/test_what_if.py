"""The experiments of the page: each begins from the unchanged model and text."""

import re

import numpy as np
from tests.report.browsing import experimented, find, replayed, traces
from tests.report.conftest import PASSAGE, losses

from tidegate.report.inspection import inspection_page

HOLD, CHANGE = "Hold it", "Change it"


def lengths(page):
    """The numbers of positions in the table of the experiment's figure, and the first."""
    return page.execute_script("""
        document.querySelector("#experiment details").open = true;
        return new Promise((done) => setTimeout(() => done(
          [...document.querySelectorAll("#experiment tbody tr")].map((r) => r.children[1].textContent)), 200));""")


def choose(page, character):
    page.execute_script("document.querySelector('#experiment select').value = arguments[0]", character)


def test_holding_a_unit_is_described_for_the_whole_text_and_not_as_fading(bare, open_page):
    page = open_page(inspection_page(*bare("lstm", layers=2)), fragment="#unit=3&of=h&layer=1&at=40")
    replayed(page)
    said = experimented(page, HOLD)
    change = np.array(traces(page, "[...trace.change]"))
    numbers = re.fullmatch(
        r"Holding unit 3 of layer 1 at its mean changes the prediction by (\S+) % on average and by (\S+) % at most; "
        r"(\d+) of (\d+) predictions change by 5 % or more.", said)  # fmt: skip
    assert numbers, said
    mean, largest, above, count = (float(n.replace("<", "")) for n in numbers.groups())
    assert (above, count) == ((change >= 0.05).sum(), len(PASSAGE))
    np.testing.assert_allclose([mean, largest], [100 * change.mean(), 100 * change.max()], atol=0.51)
    assert lengths(page) == [str(k) for k in range(1, len(PASSAGE) + 1)]


def test_an_experiment_begins_from_the_unchanged_text_and_model(bare, open_page):
    found, models = bare("gru")
    page = open_page(inspection_page(found, models), fragment="#unit=2&at=40")
    replayed(page)
    choose(page, "(")
    experimented(page, CHANGE)
    held = experimented(page, HOLD)
    assert traces(page, "trace.shown.join('')") == PASSAGE
    page.execute_script("Tidegate.app.store.set({at: 60})")
    said = experimented(page, CHANGE)
    assert held.startswith("Holding unit 2 ")
    assert said.startswith(f"“(” instead of “{PASSAGE[60].replace(' ', '␣')}” at character 61 changes ")
    changed = PASSAGE[:60] + "(" + PASSAGE[61:]
    assert traces(page, "trace.shown.join('')") == changed
    (_, before), (_, after) = losses(models[0], PASSAGE), losses(models[0], changed)
    np.testing.assert_allclose(traces(page, "[...trace.change]")[:-1], np.abs(before - after).sum(1) / 2, atol=1e-5)


def test_the_line_of_five_percent_is_drawn_inside_the_figure(bare, open_page):
    page = open_page(inspection_page(*bare("gru")), fragment="#at=40")
    replayed(page)
    experimented(page, HOLD)
    mark = find(page, "#experiment .mark")
    assert page.execute_script("return getComputedStyle(arguments[0]).stroke", mark) not in ("none", "")
    figure = find(page, "#experiment .plot svg")
    assert figure.rect["y"] < mark.rect["y"] < figure.rect["y"] + figure.rect["height"]
    assert "5 %" in figure.get_attribute("textContent")
