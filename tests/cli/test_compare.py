"""`tidegate compare` as a user calls it."""

import json

import pytest

from tidegate.cells import CELLS
from tidegate.comparing.streams import TRAINING, number

TINY = ("--hidden", "4", "--steps", "6", "--batch", "4", "--lr", "0.01", "--workers", "1")
OWN = """
from dataclasses import dataclass
import torch, tidegate
from tidegate.tasks import Batch, Task

class Sum(tidegate.Cell):
    gates, state = ("n",), ("h",)
    def equations(a, U, h):
        n = tidegate.tanh(a.n)
        return (0.9 * h + n,), (n,)

@dataclass(frozen=True)
class Last(Task):
    length: int = 4
    name, source, metric = "last", "own", "accuracy"
    input_size = output_size = 3
    chance, solved = 1 / 3, 1.0
    def batch(self, size, generator):
        x = torch.randint(3, (self.length, size), generator=generator)
        return Batch(x, x)
"""


def compare(tidegate, *arguments):
    return tidegate("compare", *arguments, *TINY)


def test_it_prints_a_table_and_verdicts_and_writes_the_numbers(tidegate, tmp_path):
    outcome = compare(tidegate, "--task", "recall", "--param", "length=4", "--cells", "gru,lstm", "--seeds", 2)
    assert outcome.code == 0, outcome.err
    for part in ("recall (length 4, symbols 8), 2 seeds.", "gru and lstm: too few seeds. With 2 the smallest", "0/2"):
        assert part in outcome.out
    numbers = json.loads((tmp_path / "comparisons" / "recall" / "compare.json").read_text())
    assert numbers["tidegate"] == "comparison"
    assert [arm["label"] for arm in numbers["arms"]] == ["gru", "lstm"]
    assert len(list((tmp_path / "comparisons" / "recall" / "jobs").glob("*.json"))) == 4
    assert "4 jobs, 1 at once." in outcome.err


def test_the_same_command_prints_the_same_again_without_running_a_job(tidegate, monkeypatch):
    arguments = ("--param", "length=4", "--cells", "gru,rnn", "--seeds", "1,5")
    first = compare(tidegate, *arguments)
    monkeypatch.setattr("tidegate.comparing.side_by_side.run", None)
    again = compare(tidegate, *arguments)
    assert again.code == 0, again.err
    assert again.out == first.out


def test_every_cell_an_own_cell_and_an_own_task(tidegate, tmp_path):
    (tmp_path / "mine.py").write_text(OWN)
    cells = ",".join([*CELLS, "mine.py:Sum"])
    outcome = compare(
        tidegate, "--task", "mine.py:Last", "--cells", cells, "--seeds", 1, "--match", "units", "--out", "o"
    )
    assert outcome.code == 0, outcome.err
    assert [arm["label"] for arm in json.loads((tmp_path / "o" / "compare.json").read_text())["arms"]] == [
        *CELLS,
        "Sum",
    ]


def test_settings_and_parameters_are_varied(tidegate):
    outcome = compare(
        tidegate, "--cells", "gru,rnn", "--seeds", 1, "--vary", "init=default,chrono", "--vary", "length=3,5"
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "gru, init chrono, length 5" in outcome.out
    assert "rnn with init chrono is left out: RNN has no gate f or z" in outcome.out


def test_quick_has_two_seeds_and_chooses_learning_rates(tidegate, tmp_path):
    outcome = tidegate(
        "compare", "--quick", "--cells", "rnn,gru", "--hidden", 4, "--steps", 6, "--workers", 1, "--param", "length=4"
    )
    assert outcome.code == 0, outcome.err
    numbers = json.loads((tmp_path / "comparisons" / "recall" / "compare.json").read_text())
    assert (numbers["seeds"], len(numbers["tuning_seeds"])) == ([0, 1], 1)
    assert [trial["rate"] for trial in numbers["arms"][0]["rate"]["trials"]] == [3e-3, 1e-2, 3e-2]
    caution = (
        "This is a quick look: 4 units and at most 6 steps show that the command works, not which cell is better. "
        "The same command without --quick has 4 units, at most 6 steps and 10 seeds."
    )
    assert caution in " ".join(outcome.out.split())
    assert caution in (tmp_path / "comparisons" / "recall" / "compare.html").read_text(encoding="utf-8")
    assert numbers["caution"] == caution


def test_only_a_quick_comparison_has_a_caution(tidegate, tmp_path):
    outcome = compare(tidegate, "--cells", "rnn", "--seeds", 1)
    assert outcome.code == 0, outcome.err
    assert "quick" not in outcome.out


def test_the_samples_of_language_models_stand_side_by_side(tidegate, text):
    outcome = compare(tidegate, "--task", f"text:{text}", "--param", "length=8", "--cells", "gru,rnn", "--seeds", 1)
    assert outcome.code == 0, outcome.err
    assert "gru writes:" in outcome.out
    assert "rnn writes:" in outcome.out


def test_jobs_that_fail_are_reported_and_the_exit_code_is_1(tidegate, tmp_path):
    fails = f"        if generator.initial_seed() == {number(TRAINING, 1)}: raise OSError('odd')\n"
    (tmp_path / "mine.py").write_text(OWN.replace("        x = torch", f"{fails}        x = torch"))
    outcome = compare(tidegate, "--task", "mine.py:Last", "--cells", "rnn", "--seeds", 2)
    assert outcome.code == 1, outcome.err
    assert "rnn: Failed: OSError: odd (1 of 2 seeds failed)." in outcome.out


@pytest.mark.parametrize(("arguments", "message"), [
    (("--task", "recal"), "Did you mean recall?"),
    (("--cells", "gru,lstn"), "Did you mean lstm?"),
    (("--cells", "gru,gru"), "--cells must differ, got gru twice."),
    (("--param", "length"), "--param must be NAME=VALUE such as length=50, got 'length'."),
    (("--param", "lenght=4"), "the task recall has no parameter `lenght`"),
    (("--param", "length=x"), "must be an integer, got 'x'."),
    (("--vary", "hidden=4,x"), "--hidden must be an integer, got 'x'."),
    (("--vary", "wide=4"), "--vary must name a setting or a parameter of the task"),
    (("--vary", "lr=0.1", "--vary", "lr=0.2"), "--param and --vary must name each thing once"),
    (("--vary", "length=4", "--param", "length=5"), "--param and --vary must not both give length."),
    (("--match", "wieghts"), "--match must be one of weights, units, seconds, got 'wieghts'. Did you mean weights?"),
    (("--rates", "0.1,x"), "--rates must be a number such as 0.01, got 'x'."),
    (("--rates", "0.1,0.2"), "--rates must be left out where a learning rate is given or varied"),
    (("--seeds", "0"), "--seeds must be from 1 to 10,000, got 0."),
    (("--seeds", "x"), "expected an integer such as 64, got 'x'."),
    (("--init", "chron"), "--init must be one of"),
    (("--workers", "0"), "--workers must be an integer of at least 1, got 0."),
    (("--out", "mine.py"), "--out must be a writable folder"),
])  # fmt: skip
def test_bad_arguments_are_refused_in_a_sentence(tidegate, tmp_path, arguments, message, monkeypatch):
    monkeypatch.setattr("tidegate.comparing.runner.run_all", None)
    (tmp_path / "mine.py").write_text(OWN)
    outcome = tidegate("compare", *TINY, *arguments)
    assert outcome.code == 2
    assert message in " ".join(outcome.err.split())
    assert "Traceback" not in outcome.err
