"""A comparison that is killed again and again ends with the same results."""

import multiprocessing
import random
from pathlib import Path

import pytest
from tests.comparing.conftest import SMALL
from tests.comparing.own import Echo
from tests.comparing.test_compare import numbers

from tidegate.comparing import compare
from tidegate.comparing.comparison import Comparison

SETTINGS = SMALL.with_values({"steps": 40, "eval_every": 5, "hidden": 12})


def whole(folder: Path) -> Comparison:
    return compare(Echo(), ["gru", "lstm"], seeds=6, settings=SETTINGS, out=folder, workers=1)


@pytest.fixture(scope="module")
def processes():
    """Processes that start with everything imported, in milliseconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.comparing.test_kills"])
    return context


def test_twenty_random_kills_do_not_change_the_results(processes, tmp_path):
    expected = numbers(whole(tmp_path / "undisturbed"))
    random.seed(4)
    killed, folder = 0, tmp_path / "killed"
    finished = 0
    while killed < 20:
        process = processes.Process(target=whole, args=(folder,))
        process.start()
        process.join(random.uniform(0.01, 0.4))
        if process.is_alive():
            process.kill()
            process.join()
            killed += 1
            continue
        assert process.exitcode == 0
        finished += 1
        for file in random.sample(sorted((folder / "jobs").glob("*.json")), 4):
            file.unlink()  # so that there is something to interrupt again
    assert numbers(whole(folder)) == expected
    names = {file.name for file in (tmp_path / "undisturbed" / "jobs").glob("*.json")}
    assert {file.name for file in (folder / "jobs").glob("*.json")} == names
