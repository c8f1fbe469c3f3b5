"""Tasks by name: their parameters, own tasks in a file, and errors for invalid names and parameters."""

import pytest
import torch
from tests.tasks.answers import constant, draw

from tidegate.errors import ArgumentError, ArgumentTypeError, ShapeError
from tidegate.tasks import Recall, Task, find_task

OWN = """
from dataclasses import dataclass

import torch

import tidegate
from tidegate.tasks import Batch, Task


@dataclass(frozen=True)
class LastInput(Task):
    symbols: int = 4

    name, source, metric = "last-input", "own", "accuracy"
    solved = best = 1.0

    @property
    def input_size(self):
        return self.symbols

    output_size = input_size

    @property
    def chance(self):
        return 1 / self.symbols

    def batch(self, size, generator):
        x = torch.randint(self.symbols, (20, size), generator=generator)
        return Batch(x, x)


class Unfinished(Task):
    name, source, metric = "unfinished", "own", "accuracy"


class Unrelated:
    pass
"""


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    return str(path)


def test_parameters_may_be_given_as_numbers_or_as_text():
    assert find_task("recall", length=50) == find_task("recall", length="50") == Recall(length=50)
    assert find_task("skip", irrelevant="0.25").irrelevant == 0.25
    assert find_task("break", marker="none", segment=4).segment == 4


def test_a_task_of_a_file_works_as_those_of_the_package(own):
    task = find_task(f"{own}:LastInput", symbols="5")
    assert isinstance(task, Task)
    assert (task.input_size, task.output_size, task.chance, task.best) == (5, 5, 1 / 5, 1.0)
    batch = draw(task, 300)
    assert task.score(torch.nn.functional.one_hot(batch.x, 5).double(), batch) == 1
    assert task.score(constant(task, batch, 2), batch) == pytest.approx(0.2, abs=0.03)
    assert task.loss(torch.zeros(20, 300, 5), batch) == pytest.approx(torch.tensor(5.0).log())
    assert task.heldout() is task
    assert task.tests() == {}
    assert task.figures(torch.zeros(20, 300, 5), batch) == {}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "recal",
            r"one of recall, skip, .*text:FILE or FILE.py:CLASS, got 'recal'. Did you mean recall\?",
        ),
        ("selective_copy", r"Did you mean selective-copy\?"),
        ("nowhere.py:Mine", "there is no file nowhere.py"),
        ("{own}:Lost", "has no class Lost that derives from tidegate.tasks.Task"),
        ("{own}:Unrelated", "has no class Unrelated that derives from tidegate.tasks.Task"),
        ("{own}:Unfinished", "cannot be made: Can't instantiate abstract class Unfinished"),
    ],
)
def test_an_unknown_task_name_raises_an_error(own, name, message):
    with pytest.raises(ArgumentError, match=message):
        find_task(name.format(own=own))


def test_a_file_that_cannot_be_imported_is_named_with_its_error(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("import nothing_of_this_name")
    with pytest.raises(ArgumentError, match=r"broken.py cannot be imported: ModuleNotFoundError.*The file of a task"):
        find_task(f"{path}:Mine")


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        (
            "recall",
            {"lenght": 5},
            r"no parameter `lenght`: its parameters are length, symbols. Did you mean length\?",
        ),
        ("recall", {"length": "many"}, "`length` must be an integer, got 'many'."),
        ("recall", {"length": 1}, "`length` must be at least 2, got 1."),
        ("recall", {"symbols": 1}, "`symbols` must be at least 2, got 1."),
        ("skip", {"irrelevant": 1.5}, "`irrelevant` must be 0 to 1, got 1.5."),
        ("skip", {"irrelevant": "nan"}, "`irrelevant` must be 0 to 1, got nan."),
        (
            "break",
            {"marker": "inputs"},
            r"one of input, resets, none, got 'inputs'. Did you mean input\?",
        ),
        ("break", {"segment": 0.5}, "`segment` must be at least 1, got 0.5."),
        ("only-at", {"length": 10, "at": 9}, "`at` must be 0 to 8, got 9."),
        ("adding", {"length": 1}, "`length` must be at least 2, got 1."),
        ("copy", {"delay": 0}, "`delay` must be at least 1, got 0."),
        ("selective-copy", {"length": 3, "count": 4}, "`count` must be 1 to 3, got 4."),
        ("temporal-order", {"length": 9}, "`length` must be at least 10, got 9."),
        ("parity", {"shortest": 5, "longest": 4}, "`longest` must be at least 5, got 4."),
        ("anbn", {"least": 0}, "`least` must be at least 1, got 0."),
        ("anbncn", {"most": 0}, "`most` must be at least 1, got 0."),
        ("dyck", {"depth": 1}, "`depth` must be at least 2, got 1."),
        ("flip-flop", {"pulse": -0.1}, "`pulse` must be 0 to 1, got -0.1."),
        ("delayed-match", {"delay": -1}, "`delay` must be at least 0, got -1."),
        ("associative-recall", {"pairs": 9}, "`keys` must be at least 9, got 8."),
        ("digits", {"part": "all"}, "`part` must be one of train, heldout, got 'all'."),
        ("digits", {"length": 8}, "the task digits has no parameter `length`: its parameters are part."),
    ],
)
def test_an_unknown_parameter_or_value_raises_an_error(name, parameters, message):
    with pytest.raises(ArgumentError, match=message):
        find_task(name, **parameters)


@pytest.mark.parametrize("value", [2.5, True, None])
def test_a_parameter_of_another_type_raises_an_error(value):
    with pytest.raises(ArgumentTypeError, match="`length` must be an integer, got"):
        Recall(length=value)


def test_outputs_of_another_shape_raise_an_error():
    task = Recall(length=6, symbols=4)
    batch = draw(task, 3)
    for use in (task.loss, task.score):
        with pytest.raises(ShapeError, match=r"shape \(T, B, output_size\) = \(6, 3, 4\), got \(6, 3, 5\)"):
            use(torch.zeros(6, 3, 5), batch)
