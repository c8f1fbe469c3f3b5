"""A comparison in a terminal: its table, its verdicts, and the live table while jobs end."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console
from tests.comparing.conftest import SMALL
from tests.comparing.own import Echo, Leaky, Mean

from tidegate.comparing import compare
from tidegate.comparing.outcome import Outcome
from tidegate.report.comparison import LiveTable, live, print_comparison


def terminal(width: int = 200, **options) -> Console:
    return Console(file=io.StringIO(), width=width, highlight=False, **options)


def printed(console: Console) -> str:
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def found():
    settings = SMALL.with_values({"lr": None, "steps": 30, "eval_every": 5})
    return compare(Echo(), ["gru", "rnn", Leaky], settings=settings, rates=(0.01, 0.03, 0.1), seeds=7, workers=1)


@pytest.mark.parametrize("width", [50, 200])
def test_the_table_has_a_row_for_each_arm_with_its_numbers(found, width):
    console = terminal(width)
    print_comparison(console, found)
    text = printed(console).replace("\n", " ") if width < 100 else printed(console)
    assert "echo (symbols 3, length 5), 7 seeds." in text
    assert "A guess scores 0.333; the best possible is 1; from 1 on the task counts as solved." in text
    for arm in found.arms:
        low, median, high = arm.summary.score
        assert f"{median:.3g} ({low:.3g}–{high:.3g})" in text
        assert f"{arm.recurrent_weights}" in text
        assert f"{arm.summary.solved}/7 (" in text
    assert "length 9" in text
    for verdict in found.verdicts:
        assert verdict.first in text
    for note in found.notes:
        assert note in text


def test_no_cell_of_the_table_is_folded_in_a_narrow_terminal(found):
    console = terminal(30)
    print_comparison(console, found)
    row = next(line for line in printed(console).splitlines() if line.startswith("Leaky  "))
    assert f"{found.arm('Leaky').summary.solved}/7 (" in row


def test_divergence_is_printed_with_its_step_and_share():
    settings = SMALL.with_values({"optimizer": "sgd", "clip": 1e9, "lr": 1e6})
    own = compare(Mean(), ["residual", "gru"], settings=settings, seeds=2, workers=1)
    console = terminal()
    print_comparison(console, own)
    assert "residual: Diverged at step" in printed(console)
    assert "(2 of 2 seeds diverged)." in printed(console)


def test_plain_lines_say_how_far_each_arm_is(monkeypatch):
    monkeypatch.setattr(live, "PLAIN", 0.0)
    console = terminal()
    with_rates = SMALL.with_values({"lr": None})
    compare(Echo(), ["gru"], settings=with_rates, rates=(0.01, 0.03), seeds=3, workers=1, progress=LiveTable(console))
    lines = printed(console).splitlines()
    assert lines[0] == "7 jobs, 1 at once. Ctrl-C stops; the same command continues."
    assert lines[1].startswith("gru: learning rate 1 of 4; 14% done")
    assert lines[2].startswith("gru: learning rate 2 of 4; 29% done, about 0:0")
    assert lines[-1].startswith("gru: 3 of 3 seeds, accuracy ")
    assert lines[-1].endswith("100% done")


def test_without_a_terminal_an_arm_that_is_complete_has_a_line_and_others_wait():
    console = terminal()
    compare(Echo(), ["gru", "rnn"], settings=SMALL, seeds=4, workers=1, match="units", progress=LiveTable(console))
    assert len(printed(console).splitlines()) == 3


def test_a_live_table_is_filled_while_jobs_end():
    console = terminal(force_terminal=True)
    compare(Echo(), ["gru", "rnn"], settings=SMALL, seeds=2, workers=1, progress=LiveTable(console))
    shown = printed(console)
    assert "2 of 2 seeds" in shown
    assert "left" in shown or "100% done" in shown


def test_stored_jobs_do_not_count_as_fast_ones():
    """The time that is left is estimated from the jobs that ran."""
    console = terminal()
    shown = LiveTable(console)
    (arm,) = [a for a in _arms() if a.cell == "gru"]
    shown.begin([arm], 0, 8, 1)
    for seed in range(2):
        shown.ended(arm, Outcome(seed=seed, status="unsolved", score=0.5), tuning=False, stored=True)
    assert shown.left() == "25% done"
    shown.ended(arm, Outcome(seed=2, status="diverged", score=0.3), tuning=False, stored=False)
    assert shown.left() == "38% done"
    shown.first -= 10
    shown.ended(arm, Outcome(seed=3, status="unsolved", score=0.3), tuning=False, stored=False)
    assert shown.left() == "50% done, about 0:40 left"
    assert shown.cells(arm)[-1] == "1 diverged"


@pytest.mark.parametrize("workers", [1, 3])
def test_the_time_that_is_left_is_that_of_the_jobs_without_the_start_of_their_processes(workers, monkeypatch):
    now = 100.0
    monkeypatch.setattr(live, "time", SimpleNamespace(monotonic=lambda: now))
    shown, arm = LiveTable(terminal()), _arms()[0]
    shown.begin([arm], 0, 20, workers)
    now += 7.0  # processes start
    for seed in range(12):
        now += 2.0 / workers  # each job takes 2 s
        shown.ended(arm, Outcome(seed=seed, status="unsolved", score=0.5), tuning=False, stored=False)
        expected = round((19 - seed) * 2 / workers)
        assert shown.left().partition(", ")[2] == (f"about 0:{expected:02} left" if seed >= workers else "")


def _arms():
    from tidegate.comparing.job import GivenTask
    from tidegate.comparing.plan import as_cells, combinations

    return list(combinations(GivenTask(Echo()), as_cells(["gru", "rnn"]), SMALL, {}))
