import io
import itertools
from types import SimpleNamespace

from rich.console import Console

from tidegate.train import status
from tidegate.train.status import Figures, Status, clock, visible

FIGURES = Figures(
    progress=0.5, epochs=1.5, step=1234, train_ppl=6.2, train_bpc=2.63, window=100, heldout_ppl=7.1, heldout_bpc=2.83,
    tokens_per_s=34_567.0, gradient_norm=0.87, clipped=0.12, lr=0.002, seconds_left=75.0,
)  # fmt: skip
LINE = (
    "epoch 1.50  step 1,234  train ppl 6.200 (last 100 steps)  held-out ppl 7.100 bpc 2.830  "
    "34,567 char/s  grad 0.87  clipped 12%  lr 0.002  1:15 left"
)


def shown(terminal, monkeypatch, act):
    monkeypatch.setattr(status, "PLAIN", 0.0)
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=200, color_system=None)
    with Status(console, "char") as shown:
        act(shown)
    return out.getvalue()


def test_without_a_terminal_figures_are_plain_lines(monkeypatch):
    assert shown(False, monkeypatch, lambda status: status.figures(FIGURES)) == LINE + "\n"


def test_plain_lines_are_printed_at_most_every_few_seconds(monkeypatch):
    out, seconds = io.StringIO(), itertools.count()
    monkeypatch.setattr(status, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    with Status(Console(file=out, width=200), "char") as shown:
        for _ in range(35):
            shown.figures(FIGURES)
    assert out.getvalue() == (LINE + "\n") * 3


def test_in_a_terminal_the_figures_are_a_live_bar(monkeypatch):
    text = shown(True, monkeypatch, lambda status: status.figures(FIGURES))
    assert "━" in text
    assert "50%" in text
    assert "held-out ppl 7.100 bpc 2.830" in text


def test_an_evaluation_is_printed_permanently_with_its_mark_and_a_sample(monkeypatch):
    text = shown(False, monkeypatch, lambda status: status.evaluation(FIGURES, True, "The\ncat [bold]sat"))
    assert text == LINE + "  best\n    The⏎cat [bold]sat\n"


def test_time_left_is_minutes_or_hours():
    assert [clock(s) for s in (0, 59.6, 61, 3600, 7325)] == ["0:00", "1:00", "1:01", "1:00:00", "2:02:05"]


def test_control_characters_cannot_reach_the_terminal():
    assert visible("a\x1b[31m\r\n\x7fé") == "a␛[31m␍⏎\ufffdé"


def test_an_emoji_of_several_parts_is_kept():
    assert visible("👩\u200d👧") == "👩\u200d👧"
