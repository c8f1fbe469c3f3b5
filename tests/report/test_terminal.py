"""Charts of characters, and the findings of an inspection in a terminal."""

import io

import numpy as np
from rich.console import Console

from tidegate.report.terminal import HEIGHT, WIDTH, chart


def test_a_chart_has_the_heights_of_its_values():
    lines = chart(np.arange(11), np.linspace(0, 1, 11), "steps")
    assert len(lines) == HEIGHT + 1
    columns = [line[11:].ljust(WIDTH) for line in lines[:-1]]
    heights = [sum(row[i] != " " for row in columns) for i in range(WIDTH)]
    assert heights == sorted(heights)
    assert (heights[0], heights[-1]) == (0, HEIGHT)
    assert lines[0].split()[0] == "1"
    assert lines[-1].split() == ["0", "10", "steps"]


def test_a_terminal_without_unicode_gets_ascii():
    assert all(line.isascii() for line in chart(np.arange(5), np.array([0.0, 3, 1, 4, 1]), "steps", ascii_only=True))


def test_values_that_are_constant_or_not_finite_are_drawn():
    assert chart(np.arange(4), np.full(4, np.nan), "steps") == ["(no finite values)"]
    assert len(chart(np.arange(4), np.ones(4), "steps")) == HEIGHT + 1
    assert chart(np.arange(4), np.array([0.0, -np.inf, 1.0, 2.0]), "steps")[-1].split() == ["0", "3", "steps"]


def test_powers_are_labelled_by_their_values():
    assert chart(np.log2([1, 64]), np.array([2.0, 1.0]), "tokens", powers=True)[-1].split() == ["1", "64", "tokens"]


def test_brackets_in_names_are_not_markup(monkeypatch):
    from types import SimpleNamespace

    from tidegate.insight.findings import Finding
    from tidegate.report.terminal import print_inspection

    out = io.StringIO()
    found = SimpleNamespace(
        run={"name": "a[b]", "cell": "x.py:[red]C", "layers": 2, "hidden": 3, "weights": 12, "checkpoint": "best",
             "tokens_are": "char",
             "epochs": None},
        text={"name": "[bold]t", "tokens": 9, "unknown": 2}, lag=None, horizon=None,
        not_measured={"units": "too short"},
        findings=(Finding("dead", True, "3 [units]", {}, "a smaller --lr"),),
    )  # fmt: skip
    print_inspection(Console(file=out, width=200), found)
    text = out.getvalue()
    for part in ("a[b]: x.py:[red]C, 2 layers of 3 units", "on [bold]t (9 tokens)", "2 of them are not in the model's",
                 "Problem: 3 [units]", "Try: a smaller --lr", "Not measured: units. too short"):  # fmt: skip
        assert part in text
