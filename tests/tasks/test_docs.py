"""docs/tasks.md lists every task with the figures that the task itself states, and its examples run."""

import doctest
import re
from pathlib import Path

import pytest

from tidegate.tasks import TASKS

PAGE = Path(__file__).parents[2] / "docs" / "tasks.md"
ROWS = dict(re.findall(r"^\| `([\w-]+)` \|(.*)\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE))


def number(cell):
    return float(cell.split("=")[-1])


def test_every_task_has_its_row():
    assert list(ROWS) == list(TASKS)


@pytest.mark.parametrize("name", [name for name in TASKS if name != "text"])
def test_the_figures_of_the_table_are_those_of_the_task(name):
    task = TASKS[name]()
    _, metric, chance, best, solved = (cell.strip() for cell in ROWS[name].split("|"))
    assert metric == task.metric
    assert number(chance) == pytest.approx(task.chance, rel=1e-3)
    assert number(solved) == pytest.approx(task.solved, rel=1e-3)
    assert (None if best == "unknown" else number(best)) == task.best


def test_the_examples_give_what_they_show():
    assert doctest.testfile(str(PAGE), module_relative=False).failed == 0
