"""The page of an inspection in a real browser: numbers of its model, its controls, and texts that contain code."""

import json
import re
from dataclasses import replace
from html import escape

import numpy as np
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from tests.export.cells import Everything
from tests.report.browsing import all_of, find, replayed, traces, wait
from tests.report.conftest import PASSAGE, losses

from tidegate.cells import CELLS
from tidegate.insight.findings import Finding
from tidegate.insight.recording import record
from tidegate.insight.subject import as_input, as_subject
from tidegate.insight.tracking.results import FeatureUnits, Units
from tidegate.report.inspection import Choice, inspection_page
from tidegate.report.inspection.run import Run
from tidegate.report.inspection.units import effects, numbered

ALL = {**CELLS, "own": Everything}


def colours(page):
    return page.execute_script(
        "return [...document.querySelectorAll('.text span')].map((s) => s.style.backgroundColor)"
    )


def move_to(page, at):
    page.execute_script("Tidegate.app.store.set({at: arguments[0]})", at)


def test_the_details_show_the_probability_and_the_alternatives_of_python(bare, open_page):
    found, models = bare("lstm")
    page = open_page(inspection_page(found, models))
    replayed(page)
    move_to(page, 30)
    loss, p = losses(models[0], PASSAGE)
    bits = loss[29] / np.log(2)
    assert f"({bits:.2f} bits of surprise)" in find(page, ".detail p").text
    best = np.argsort(-p[30])[:5]
    shown = [e.text for e in all_of(page, ".detail .columns > div:nth-child(2) .token")]
    names = {" ": "␣", "\n": "⏎"}
    assert shown == [names.get(t, t) for t in (models[0].vocabulary.tokens[i] for i in best)]
    unit = [e.text for e in all_of(page, ".bars.named > span:nth-child(3n + 1)")]
    assert unit == ["state h", "state c", "gate i", "gate f", "gate g", "gate o"]


def test_arrow_keys_move_the_cursor_and_the_live_region_says_what_is_there(bare, open_page):
    page = open_page(inspection_page(*bare("gru")), fragment="#at=3")
    replayed(page)
    text = find(page, ".text")
    text.send_keys(Keys.ARROW_RIGHT)
    text.send_keys(Keys.ARROW_RIGHT)
    assert find(page, ".here").text == PASSAGE[5]
    assert re.match(rf"{PASSAGE[5]}, probability .* %, state h of unit 0 .*Expected next", spoken(page))
    text.send_keys(Keys.HOME)
    assert traces(page, "Tidegate.app.store.values.at") == 0
    text.send_keys(Keys.ARROW_DOWN)
    assert traces(page, "Tidegate.app.store.values.at") > 3


def spoken(page):
    return page.execute_script("return document.getElementById('announcements').textContent")


def test_a_plot_has_a_sentence_a_cursor_for_keys_and_a_data_table(one, open_page):
    found, models = one
    page = open_page(inspection_page(found, models))
    plot = find(page, '[data-figure="lag"] .plot')
    assert plot.get_attribute("role") == "img"
    assert plot.get_attribute("aria-label").startswith(str(found[0].lag))
    assert plot.find_elements(By.CSS_SELECTOR, ".line")
    plot.send_keys(Keys.ARROW_RIGHT)
    plot.send_keys(Keys.ARROW_RIGHT)
    value = 10 ** found[0].lag.log10_mean["all"][1]
    said = re.match(r"lag: characters back: 1, after training: ([\d.e−]+)", spoken(page))
    assert float(said[1].replace("−", "-")) == pytest.approx(value, rel=0.01)
    figure = find(page, '[data-figure="lag"]')
    page.execute_script("arguments[0].querySelector('details').open = true", figure)
    wait(page, lambda: len(figure.find_elements(By.CSS_SELECTOR, "tbody tr")) == 2 * 21)


def test_every_figure_can_be_focused_and_downloaded(complete, open_page):
    page = open_page(inspection_page(*complete))
    figures = all_of(page, "figure[data-figure]")
    assert len(figures) >= 7
    for figure in figures:
        plot = figure.find_element(By.CSS_SELECTOR, ".plot")
        assert plot.get_attribute("tabindex") == "0"
        assert len(plot.get_attribute("aria-label")) > 20
        assert figure.find_element(By.CSS_SELECTOR, ".tools button").text == "Download CSV"


def test_the_download_holds_the_numbers_of_the_figure(one, open_page):
    found, models = one
    page = open_page(inspection_page(found, models))
    csv = page.execute_script("""
        const kept = [], data = JSON.parse(document.getElementById("data").textContent);
        return Tidegate.csv(Tidegate.tableOf(data.figures["connectivity"]));""")
    rows = [line.split(",") for line in csv.split("\r\n")[1:-1]]
    share = found[0].connectivity.share
    np.testing.assert_allclose([float(row[2]) for row in rows], share, rtol=1e-6)
    csv = page.execute_script("""
        const data = JSON.parse(document.getElementById("data").textContent);
        return Tidegate.csv(Tidegate.downloadOf(data.figures["lag"]));""")
    assert ",log10 of norm of the gradient,log10 of low,log10 of high" in csv.split("\r\n")[0]
    logs = [float(line.split(",")[2]) for line in csv.split("\r\n")[1:] if line.startswith("after training")]
    np.testing.assert_allclose(logs, found[0].lag.log10_mean["all"], rtol=1e-6)
    dangerous = page.execute_script("return Tidegate.csv({columns: ['a'], rows: [['=1+1'], ['x,\"y\"'], [-2]]})")
    assert dangerous == 'a\r\n\'=1+1\r\n"x,""y"""\r\n-2\r\n'


def test_effects_of_random_units_are_a_range_in_the_table_and_complete_in_the_download(bare, open_page):
    page = open_page(inspection_page(*bare("gru")))
    others = [0.25, -0.5, None, 0.125]
    table, download = page.execute_script("""
        const rows = [{label: "a", value: 1, low: 0.5, high: 1.5, others: arguments[0]}, {label: "b", value: 2}];
        const spec = {kind: "rows", x: {label: "x"}, rows, keys: [{label: "own"}, {label: "random", faint: true}]};
        return [Tidegate.tableOf(spec), Tidegate.downloadOf(spec)];""", others)  # fmt: skip
    assert table["columns"] == ["row", "x", "low", "high", "random: least", "random: largest"]
    assert table["rows"] == [["a", 1, 0.5, 1.5, -0.5, 0.25], ["b", 2, None, None, None, None]]
    assert download["columns"][4:] == [f"random: {k}" for k in (1, 2, 3, 4)]
    assert download["rows"][0][4:] == others


def test_units_of_several_layers_are_named_with_their_layer(complete):
    found, models = complete
    runs = [Run(k, each, model) for k, (each, model) in enumerate(zip(found, models))]
    assert numbered(runs[0], {"unit": 4, "layer": 0}) == "4"
    assert numbered(runs[1], {"unit": 4, "layer": 1}) == "4 (layer 1)"
    total = {"extra": {"difference": 0.5, "low": 0.4, "high": 0.6}, "others": [0.1]}
    unit = {"unit": 4, "layer": 1, "state": "c", "confirmed": True, "total": total}
    runs[1].__dict__["figures"] = {"units": {"features": [{"feature": "digit", "units": [unit]}]}}
    assert [row.label for row in effects(runs[1])] == ["unit 4 (layer 1), digit"]


def test_choosing_a_unit_in_the_table_colours_the_text_and_changes_the_address(one, open_page):
    page = open_page(inspection_page(*one))
    replayed(page)
    before = colours(page)
    button = all_of(page, "table.units button")[-1]
    unit = button.get_attribute("data-unit")
    page.execute_script("arguments[0].click()", button)
    assert find(page, '[data-mode="unit"]').get_attribute("aria-pressed") == "true"
    assert colours(page) != before
    wait(page, lambda: f"unit={unit}&of=h&layer=0" in page.current_url)


def test_an_address_names_a_unit_and_a_position_and_what_the_run_does_not_have_is_reported(bare, open_page):
    html = inspection_page(*bare("lstm", layers=2))
    page = open_page(html, fragment="#unit=4&of=c&layer=1&at=17")
    chosen = {"unit": 4, "name": "c", "layer": 1}
    assert page.execute_script("return Tidegate.app.store.values.chosen[0]") == chosen
    assert page.execute_script("return Tidegate.app.store.values.at") == 17
    page = open_page(html, fragment="#unit=99&of=<b>&layer=-1&at=1e9&by=toString")
    chosen = page.execute_script("return Tidegate.app.store.values.chosen[0]")
    assert chosen == {"unit": 0, "name": "h", "layer": 1}
    said = find(page, ".notice").text
    assert "unit “99”, but the units are 0 to 5: unit 0 is shown instead" in said
    assert "layer “-1”, but the layers are 0 to 1: layer 1 is shown instead" in said
    assert "state or gate “<b>”, but there are only h, c, i, f, g, o: state or gate h is shown instead" in said
    page.execute_script("location.hash = '#unit=abc'")
    wait(page, lambda: "unit “abc”" in find(page, ".notice").text)
    assert "layer" not in find(page, ".notice").text
    page.execute_script("document.querySelector('[aria-label=\"Next unit\"]').click()")
    assert not find(page, ".notice").text


def test_the_reason_why_influence_is_not_available_is_beside_its_button(one, open_page):
    page = open_page(inspection_page(*one))
    replayed(page)
    button, reason = find(page, '[data-mode="past"]'), find(page, "#no-influence")
    assert button.is_enabled()
    assert not reason.is_displayed()
    page.execute_script("Tidegate.app.read('She ran', false)")
    assert not button.is_enabled()
    assert reason.is_displayed()
    assert "stored passage only" in reason.text


def test_pointing_at_a_character_colours_the_characters_before_it_by_their_influence(one, open_page):
    found, models = one
    page = open_page(inspection_page(found, models), fragment="#at=50&by=past")
    replayed(page)
    strength = found[0].connectivity.strength[50]
    found = page.execute_script(
        "const {runs, traces} = Tidegate.app;"
        "return traces[0].indices.map((_, t) => Tidegate.influence(runs[0], traces[0], 50, t))"
    )
    np.testing.assert_allclose(found[38:51][::-1], strength / strength.max(), atol=0.003)
    assert set(found[:38]) == set(found[51:]) == {None}
    assert sum(bool(c) for c in colours(page)) == 13


HOSTILE = '</script><img src=x onerror="document.title=1"><b id=b>&amp;${1}\'`'


def test_text_of_a_run_is_shown_and_never_becomes_markup_or_code(bare, open_page):
    class Hostile(CELLS["gru"]):
        pass

    found, models = bare(Hostile, passage=HOSTILE * 3, tokens=sorted({*HOSTILE, "\u2028"}))
    found[0].run.update(name=HOSTILE, trained_on=HOSTILE, cell=HOSTILE)
    found[0].text["name"] = HOSTILE
    finding = Finding("learned", True, HOSTILE, {"bpc": 2.0}, HOSTILE)
    feature = FeatureUnits(HOSTILE, True, False, 0.5, 0.5, None, 0.1, (), (), "none found")
    units = Units((feature,), HOSTILE, 1, 6, 9, 9, 9, "donors", "donors", 9, 0.05, (HOSTILE,), "char")
    found = [replace(found[0], findings=(finding,), units=units, not_measured={HOSTILE: HOSTILE})]
    page = open_page(inspection_page(found, models))
    assert replayed(page) < 1e-5
    assert page.title == "Inside " + HOSTILE
    assert find(page, "h1").text == "Inside " + HOSTILE
    assert page.execute_script("return document.querySelector('.text').textContent") == HOSTILE * 3
    assert not all_of(page, "img, #b")


def test_the_page_loads_nothing_and_runs_only_its_own_script(one, open_page):
    html = inspection_page(*one)
    assert not re.search(r"(src|href)=[\"'](?!data:,|#)", html)
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    page = open_page(html)
    replayed(page)
    assert page.execute_script("return performance.getEntriesByType('resource').map((r) => r.name)") == []
    page.execute_script(
        "const s = document.createElement('div'); s.setAttribute('onclick', 'document.title = 1'); s.click()"
    )
    assert page.title == "Inside first"
    assert [entry["level"] for entry in page.get_log("browser")] == ["SEVERE"]  # the refused handler


def test_a_model_that_is_too_large_in_float32_is_stored_in_float16_and_the_page_says_so(bare, open_page):
    found, models = bare("gru", hidden=24)
    whole = inspection_page(found, models)
    html = inspection_page(found, models, largest=len(whole) - 3000)
    assert len(html) < len(whole) - 3000
    page = open_page(html)
    assert 1e-6 < replayed(page) < 0.1
    assert "rounded to 16 bits" in find(page, "#sure").text


def test_a_model_that_is_too_large_for_the_page_shows_the_stored_values(bare, open_page):
    found, models = bare("lstm")
    page = open_page(inspection_page(found, models, largest=1000))
    assert "cannot be run in this page" in find(page, "#reader").text
    assert not all_of(page, "textarea")
    assert not all_of(page, "#what-if")
    loss, p = losses(models[0], PASSAGE)
    bits = traces(page, "trace.indices.map((_, t) => trace.bits(t))")
    np.testing.assert_allclose(bits[1:], loss / np.log(2), atol=1e-5)
    top = traces(page, "trace.top(30)")
    np.testing.assert_allclose([guess["p"] for guess in top], np.sort(p[30])[::-1][:5], rtol=1e-5)
    subject = as_subject(models[0])
    (layer,) = record(subject, as_input(subject, PASSAGE))
    for name, values in (layer.states | layer.gates).items():
        found = traces(page, f"[...trace.column(0, '{name}', 3)]")
        np.testing.assert_allclose(found, values[:, 0, 3], atol=np.ptp(values) / 400)
    page.execute_script("Tidegate.app.store.set({mode: 'unit'})")
    assert all(colours(page))


def test_two_runs_are_side_by_side_with_one_cursor(complete, open_page):
    page = open_page(inspection_page(*complete))
    assert replayed(page, 0) < 1e-5
    assert replayed(page, 1) < 1e-5
    assert len(all_of(page, ".panel")) == 2
    assert len({e.rect["y"] for e in all_of(page, ".panel")}) == 1
    all_of(page, ".text")[1].send_keys(Keys.ARROW_RIGHT)
    assert len(all_of(page, ".here")) == 2
    lag = page.execute_script('return JSON.parse(document.getElementById("data").textContent).figures["lag"].series')
    assert [(s["role"], s["dashed"]) for s in lag] == [
        ("first", False),
        ("first", True),
        ("second", False),
        ("second", True),
    ]


@pytest.mark.parametrize("width", [360, 390, 768, 1400])
def test_nothing_is_wider_than_the_window(width, complete, open_page):
    page = open_page(inspection_page(*complete), width=width)
    replayed(page)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width


def test_the_theme_button_changes_the_colours_of_page_and_text(one, open_page):
    page = open_page(inspection_page(*one))
    replayed(page)
    before = colours(page), page.execute_script("return getComputedStyle(document.body).backgroundColor")
    find(page, "#theme").click()
    after = colours(page), page.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert before[0] != after[0]
    assert before[1] != after[1]
    assert find(page, "#theme").get_attribute("aria-label") in ("Use light colours", "Use dark colours")


def test_figures_that_were_not_measured_are_left_out_with_the_reason(bare, open_page):
    page = open_page(inspection_page(*bare("rnn")))
    assert replayed(page) < 1e-5
    sections = [e.get_attribute("id") for e in all_of(page, ".story > section")]
    assert sections == ["verdict", "what-if", "equations", "sure"]
    assert "horizon not measured: The text is too short." in find(page, "#sure").text


def test_a_layer_and_units_can_be_chosen_first(complete, open_page):
    found, models = complete
    page = open_page(inspection_page(found[1:], models[1:], Choice(0, (5, 2))))
    assert page.execute_script("return Tidegate.app.store.values.chosen[0]") == {"unit": 5, "name": "h", "layer": 0}
    options = [e.get_attribute("textContent") for e in all_of(page, "[aria-label='Units that track a feature'] option")]
    assert options[1:3] == ["unit 5", "unit 2"]


def data_of(html):
    return json.loads(re.search(r'id="data">(.*?)</script>', html, re.DOTALL)[1])


def test_the_figures_of_the_page_have_the_numbers_of_the_inspection(complete):
    found, models = complete
    figures = data_of(inspection_page(found, models))["figures"]
    horizon, second = found[0].horizon, found[1]
    lines = {series["label"]: series for series in figures["horizon"]["series"]}
    np.testing.assert_allclose(lines["first: from the zero state, the last n characters"]["y"], horizon.zero, rtol=1e-8)
    high = horizon.donor + horizon.bound * horizon.donor_error
    np.testing.assert_allclose(
        lines["first: from the state after other text, the last n characters"]["high"], high, rtol=1e-8
    )
    np.testing.assert_allclose(figures["swap"]["series"][0]["y"], horizon.swap.kl, rtol=1e-8)
    np.testing.assert_allclose(figures["readout"]["series"][2]["y"], second.horizon.readout.r2, rtol=1e-8)
    exponents = {series["label"]: series["y"] for series in figures["exponents"]["series"]}
    np.testing.assert_allclose(exponents["second, before training"], second.lyapunov_initial.exponents, rtol=1e-8)
    shares = {series["label"]: series for series in figures["saturation-1"]["series"]}
    np.testing.assert_allclose(shares["gate f of layer 1"]["x"], second.gates.closed["f_l1"], rtol=1e-8)
    constants = next(s for s in figures["time-constants"]["series"] if s["run"] == 1 and s["layer"] == 1)
    np.testing.assert_allclose(
        constants["y"], second.gates.time_constant[f"{constants['name']}_l1"][constants["units"]], rtol=1e-8
    )
    bars = {row["label"]: row["value"] for row in figures["loss"]["rows"]}
    assert bars["first, held-out text"] == pytest.approx(found[0].heldout.nats * found[0].bits, rel=1e-6)
    assert bars["second, training text"] == pytest.approx(second.training.nats * second.bits, rel=1e-6)


def test_the_sentences_of_the_inspection_are_in_the_page(complete):
    found, models = complete
    html = inspection_page(found, models)
    for each in found:
        figures = (each.horizon, each.lag, each.lyapunov, each.gates, each.connectivity, each.units)
        said = [str(figure) for figure in figures] + [f.sentence for f in each.findings if f.failure]
        for sentence in said:
            assert escape(sentence) in html


def test_a_pixel_of_the_map_is_the_colour_of_a_value_and_a_click_chooses_the_unit(one, open_page):
    page = open_page(inspection_page(*one), fragment="#at=5")
    replayed(page)
    page.execute_script("document.querySelector('[data-heatmap]').scrollIntoView()")
    found = page.execute_script("""
        const canvas = document.querySelector(".heat"), trace = Tidegate.app.traces[0], run = Tidegate.app.runs[0];
        const unit = run.order["0"][2], name = document.querySelector("[data-heatmap] select").value;
        const pixel = [...canvas.getContext("2d").getImageData(7, 2, 1, 1).data].slice(0, 3);
        const value = trace.value(0, name, unit, 7);
        return {pixel, wanted: Tidegate.channels(value, {low: 0, high: 1, diverging: false}), unit, name};""")
    assert found["name"] == "z"
    np.testing.assert_allclose(found["pixel"], found["wanted"], atol=2)
    page.execute_script("""
        const canvas = document.querySelector(".heat"), box = canvas.getBoundingClientRect();
        const clientY = box.top + box.height * 2.5 / canvas.height;
        canvas.dispatchEvent(new MouseEvent("click", {bubbles: true, clientX: box.left + 20, clientY}));""")
    assert page.execute_script("return Tidegate.app.store.values.chosen[0].unit") == found["unit"]
