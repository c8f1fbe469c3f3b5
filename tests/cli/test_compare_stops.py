"""Ctrl-C in a comparison: what was finished is kept, and the same command continues."""

import os
import signal
import subprocess
import sys
import time

import pytest
from tests.cli.test_compare import TINY

OPTIONS = ("--task", "recall", "--param", "length=4", "--cells", "rnn", "--seeds", "3", "--out", "out")


def group_exists(number: int) -> bool:
    """Whether a process of this group is alive."""
    try:
        os.killpg(number, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def begin():
    """`begun`, whose processes are ended after the test, also where it failed."""
    groups = []

    def start(folder, steps: int, seeds: int) -> subprocess.Popen[str]:
        process = begun(folder, steps, seeds)
        groups.append(process.pid)
        return process

    yield start
    for group in groups:
        if group_exists(group):
            os.killpg(group, signal.SIGKILL)


def begun(folder, steps: int, seeds: int) -> subprocess.Popen[str]:
    """A comparison with two workers, in a process group of its own."""
    command = [sys.executable, "-m", "tidegate", "compare", *OPTIONS, *TINY]
    for option, value in (("--workers", 2), ("--seeds", seeds), ("--steps", steps)):
        command[command.index(option) + 1] = str(value)
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, start_new_session=True, stdout=pipe, stderr=pipe, text=True)


def wait(condition) -> bool:
    end = time.monotonic() + 100
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_all_processes_and_what_was_finished_is_kept(tmp_path, tidegate, begin, number, code):
    jobs = tmp_path / "out" / "jobs"
    with begin(tmp_path, steps=6, seeds=5000) as process:
        wait(lambda: list(jobs.glob("*.json")) or process.poll() is not None)
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # a terminal sends it to the whole group
        else:
            process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert wait(lambda: not group_exists(process.pid))
    assert out == ""
    assert f"Stopped. The finished jobs are kept in {os.path.join('out', 'jobs')}; the same command continues." in err
    assert "Traceback" not in err
    finished = {path.name for path in jobs.glob("*.json")}
    assert 0 < len(finished) < 5000
    outcome = tidegate("compare", *OPTIONS, *TINY)  # the command line of this process runs in the same folder
    assert outcome.code == 0, outcome.err
    assert finished <= {path.name for path in jobs.glob("*.json")}


@pytest.mark.parametrize("seconds", [0, 4])
def test_workers_end_when_the_command_is_killed(tmp_path, begin, seconds):
    """They would otherwise train for hours, for nobody."""
    with begin(tmp_path, steps=1_000_000, seeds=3) as process:
        jobs = tmp_path / "out" / "jobs"
        assert wait(jobs.is_dir)
        time.sleep(seconds)  # workers begin, or are training
        process.kill()
        process.communicate(timeout=60)  # ends when no process has its output open
    assert wait(lambda: not group_exists(process.pid))
    assert not list(jobs.glob("*.json"))
