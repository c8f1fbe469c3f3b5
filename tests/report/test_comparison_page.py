"""The page of a comparison in a real browser: its figures, its numbers, and names that try to be code."""

from dataclasses import dataclass, replace
from html import escape

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait
from tests.comparing.conftest import SMALL
from tests.comparing.own import Echo, Leaky, Mean

from tidegate.comparing import compare
from tidegate.comparing.outcome import Outcome
from tidegate.comparing.sentences import verdict_sentences
from tidegate.comparing.summary import summarise
from tidegate.report.comparison import comparison_page
from tidegate.report.comparison.shown import COLOURS, groups, looks
from tidegate.report.comparison.terminal import arm_cells
from tidegate.report.comparison.verdicts import DRAWN, intervals
from tidegate.report.figures import Rows
from tidegate.report.page import Markup

TASK = Echo()


@pytest.fixture(scope="module")
def found():
    """Three cells with seven seeds and a choice of learning rates; one cell is worse."""
    settings = SMALL.with_values({"lr": None, "steps": 40, "eval_every": 5})
    return compare(TASK, ["gru", "rnn", Leaky], settings=settings, rates=(0.01, 0.03, 0.1), seeds=7, workers=1)


def all_of(page, selector):
    return page.find_elements(By.CSS_SELECTOR, selector)


def titles(page):
    return [element.text for element in all_of(page, "h2")]


def test_every_figure_is_drawn_and_every_seed_is_a_dot(found, open_page):
    page = open_page(comparison_page(found))
    figures = all_of(page, "[data-figure]")
    assert len(figures) >= 5
    assert all(figure.find_elements(By.CSS_SELECTOR, "svg") for figure in figures)
    assert len(all_of(page, '[data-figure="scores"] .plot circle.faint')) == 3 * 7
    assert len(all_of(page, '[data-figure="curves-0"] .line')) >= 3
    assert len(all_of(page, '[data-figure="curves-0"] .band')) == 3
    assert titles(page) == [
        "Which is better?", "How well does each do at the end?", "How fast does each learn?", "Further tests",
        "Did each have its best learning rate?", "What is compared?", "How sure is this?",
    ]  # fmt: skip


def test_the_page_says_what_the_terminal_says(found, open_page):
    page = open_page(comparison_page(found))
    text = page.find_element(By.TAG_NAME, "body").text
    for said in [*verdict_sentences(found.verdicts), *found.notes]:
        assert said in text
    cells = [[cell.text for cell in row.find_elements(By.CSS_SELECTOR, "th, td")] for row in all_of(page, "#scores tr")]
    assert cells[1:4] == [arm_cells(arm) for arm in found.arms]


def test_the_data_table_of_a_curve_has_the_medians_and_quartiles(found, open_page):
    page = open_page(comparison_page(found))
    figure = page.find_element(By.CSS_SELECTOR, '[data-figure="curves-0"]')
    page.execute_script("arguments[0].open = true", figure.find_element(By.TAG_NAME, "details"))
    WebDriverWait(page, 20, 0.05).until(lambda _: figure.find_elements(By.CSS_SELECTOR, "tbody tr"))
    rows = figure.find_elements(By.CSS_SELECTOR, "tbody tr")
    shown = [[cell.text for cell in row.find_elements(By.TAG_NAME, "td")] for row in rows]
    own = found.arms[0].summary
    assert len(shown) == sum(len(arm.summary.curve_steps) for arm in found.arms)
    for row, step, (low, median, high) in zip(shown, own.curve_steps, own.curve):
        assert row[0] == "gru"
        assert [float(value) for value in row[1:]] == pytest.approx([step, median, low, high], rel=6e-4)


def test_arrow_keys_move_through_a_curve(found, open_page):
    page = open_page(comparison_page(found))
    plot = page.find_element(By.CSS_SELECTOR, '[data-figure="curves-0"] .plot')
    assert plot.get_attribute("aria-label").startswith("accuracy while training: gru ")
    plot.send_keys(Keys.ARROW_RIGHT)
    said = page.execute_script("return document.getElementById('announcements').textContent")
    assert said.startswith("training steps: 0, gru: ")


@pytest.mark.parametrize("width", [390, 1400])
def test_nothing_is_wider_than_the_window(found, open_page, width):
    page = open_page(comparison_page(found), width=width)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width


def test_the_theme_can_be_changed(found, open_page):
    page = open_page(comparison_page(found))
    before = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    page.find_element(By.ID, "theme").click()
    assert page.execute_script("return getComputedStyle(document.body).backgroundColor") != before


def test_names_that_are_code_are_shown_as_text(open_page):
    code = "<img src=x onerror=document.title='run'>"

    @dataclass(frozen=True)
    class Named(Echo):
        name = source = metric = code

    made = compare(Named(), ["gru"], settings=SMALL, seeds=1, workers=1)
    made = replace(made, notes=(code,), arms=tuple(replace(arm, label=code, cell=code) for arm in made.arms))
    html = comparison_page(made)
    assert code not in html
    assert escape(code) in html
    page = open_page(html)
    assert page.title.startswith(code)
    assert not all_of(page, "img")


def test_diverged_and_failed_jobs_are_shown(open_page):
    settings = SMALL.with_values({"optimizer": "sgd", "clip": 1e9, "lr": 1e6})
    made = compare(Mean(), ["residual", "rnn"], settings=settings, seeds=2, workers=1)
    failed = tuple(Outcome(seed=seed, status="failed", reason="OSError: gone") for seed in range(2))
    lost = replace(made.arms[1], outcomes=failed, summary=summarise(Mean(), failed))
    page = open_page(comparison_page(replace(made, arms=(made.arms[0], lost))))
    text = page.find_element(By.TAG_NAME, "body").text
    assert "residual: Diverged at step" in text
    assert "rnn: Failed: OSError: gone (2 of 2 seeds failed)." in text
    assert "every job failed" in page.find_element(By.CSS_SELECTOR, '[data-figure="scores"]').text


def test_the_samples_of_language_models_stand_side_by_side(open_page, tmp_path):
    path = tmp_path / "abc.txt"
    path.write_text("abcab <b>bage\n" * 60)
    made = compare(f"text:{path}", ["gru", "rnn"], parameters={"length": 9}, settings=SMALL, seeds=1, workers=1)
    page = open_page(comparison_page(made))
    left, right = all_of(page, "#samples .panel")
    assert left.location["y"] == right.location["y"]
    own = left.find_element(By.CSS_SELECTOR, ".text").get_attribute("textContent")
    assert own == made.arms[0].outcomes[0].sample


def test_a_varied_number_has_a_plot_of_the_score_against_it(open_page):
    made = compare(
        TASK, ["gru", "rnn"], settings=SMALL, seeds=2, workers=1, vary={"length": (3, 5, 8), "lr": (0.01, 0.03)}
    )
    page = open_page(comparison_page(made))
    assert "What does the score depend on?" in titles(page)
    keys = [key.text for key in all_of(page, '[data-figure="varied-length"] .keys li')]
    assert keys == ["gru, lr 0.01", "rnn, lr 0.01", "gru, lr 0.03", "rnn, lr 0.03"]
    captions = [element.text for element in all_of(page, "#learning figcaption")]
    assert captions == [f"length {length}, lr {lr}" for length in (3, 5, 8) for lr in (0.01, 0.03)]


def test_a_cell_has_one_colour_on_the_whole_page():
    made = compare(TASK, ["gru", "rnn"], settings=SMALL, seeds=1, workers=1, vary={"lr": (0.01, 0.03)})
    assert looks(made) == {
        "gru, lr 0.01": (COLOURS[0], False), "rnn, lr 0.01": (COLOURS[1], False),
        "gru, lr 0.03": (COLOURS[0], True), "rnn, lr 0.03": (COLOURS[1], True),
    }  # fmt: skip
    assert len(groups(made)) == 1


def test_many_arms_are_drawn_in_several_plots_in_which_all_lines_differ():
    made = compare(
        TASK, ["rnn"], settings=SMALL, seeds=1, workers=1, vary={"lr": tuple(k / 1000 for k in range(1, 13))}
    )
    parts = groups(made)
    assert [len(arms) for _, arms in parts] == [10, 2]
    for _, arms in parts:
        assert len({looks(made)[arm.label] for arm in arms}) == len(arms)


def test_the_page_asks_for_nothing_and_is_small(found):
    html = comparison_page(found)
    assert len(html) < 300_000
    for asked in ('<link rel="stylesheet', 'src="', "@import", "url(http", "fetch("):
        assert asked not in html


def test_of_many_pairs_only_those_that_differ_are_drawn(found):
    alike = replace(found.verdicts[0], kind="no difference", better=None)
    one = replace(alike, kind="better", better=alike.first)
    (figure,) = intervals([one] + [alike] * (DRAWN - 1))
    assert isinstance(figure, Rows)
    assert len(figure.rows) == DRAWN
    note, figure = intervals([one] + [alike] * DRAWN)
    assert isinstance(note, Markup)
    assert isinstance(figure, Rows)
    assert note.html.startswith(f"<p>{DRAWN} pairs compared by {one.measure} left out")
    assert len(figure.rows) == 1
    (note,) = intervals([alike] * (DRAWN + 1))
    assert isinstance(note, Markup)
    assert f"{DRAWN + 1} pairs" in note.html
