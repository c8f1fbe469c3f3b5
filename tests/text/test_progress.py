"""Progress in a terminal, elsewhere, and in Python."""

import io
from contextlib import nullcontext

import pytest
from rich.console import Console

from tidegate.text import progress, source
from tidegate.text.corpora import load_text
from tidegate.text.dataset import make_dataset
from tidegate.text.progress import ConsoleProgress, Progress


def shown(*, terminal: bool, done: int = 50) -> str:
    out = io.StringIO()
    reporter = ConsoleProgress(Console(file=out, force_terminal=terminal, width=100))
    with reporter.track("Reading [b]x", 100) as advance:
        advance(done)
    reporter.note("a [note]")
    return out.getvalue()


def test_a_terminal_shows_a_progress_bar():
    assert "Reading [b]x" in shown(terminal=True)
    assert "50%" in shown(terminal=True)


def test_without_a_terminal_short_stages_show_nothing():
    assert shown(terminal=False) == "a [note]\n"


def test_without_a_terminal_a_line_is_printed_every_ten_seconds(monkeypatch):
    times = iter([0.0, 11.0, 11.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(times))
    assert shown(terminal=False) == "Reading [b]x: 50%\na [note]\n"


def test_in_python_nothing_is_shown_and_notes_are_warnings(capsys):
    with Progress().track("Reading", 10) as advance:
        advance(5)
    with pytest.warns(UserWarning, match="a note"):
        Progress().note("a note")
    assert capsys.readouterr() == ("", "")


class Stages(Progress):
    """Keeps how much of each stage was done, and its total."""

    def __init__(self):
        self.done, self.total = {}, {}

    def track(self, what, total):
        self.done[what], self.total[what] = 0, total

        def advance(done):
            self.done[what] += done

        return nullcontext(advance)


def test_the_progress_of_every_stage_of_a_large_text_reaches_its_total(tmp_path, monkeypatch):
    for module in ("source", "corpora"):
        monkeypatch.setattr(f"tidegate.text.{module}.LARGE", 10)
    monkeypatch.setattr(source, "CHUNK", 7)
    (tmp_path / "t.txt").write_text("the text, " * 20)
    stages = Stages()
    make_dataset(load_text(str(tmp_path / "t.txt"), progress=stages), progress=stages)
    assert list(stages.total) == [
        "Hashing t.txt",
        "Reading t.txt",
        "Numbering the tokens",
        "Checking the cached tokens",
    ]
    assert stages.done == stages.total
