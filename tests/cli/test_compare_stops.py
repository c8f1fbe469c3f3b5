"""Ctrl-C in a comparison: what was finished is kept, and the same command continues."""

import os
import signal
import subprocess
import sys
import time

from tests.cli.test_compare import TINY

OPTIONS = ("--task", "recall", "--param", "length=4", "--cells", "rnn", "--seeds", "3", "--out", "out")


def group_exists(number: int) -> bool:
    """Whether a process of this group is alive."""
    try:
        os.killpg(number, 0)
    except ProcessLookupError:
        return False
    return True


def test_ctrl_c_keeps_finished_jobs_and_stops_the_processes_of_the_others(tmp_path, tidegate):
    command = [sys.executable, "-m", "tidegate", "compare", *OPTIONS, *TINY]
    command[command.index("--workers") + 1] = "2"
    command[command.index("--seeds") + 1] = "5000"
    jobs = tmp_path / "out" / "jobs"
    with subprocess.Popen(
        command, cwd=tmp_path, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        end = time.monotonic() + 100
        while not list(jobs.glob("*.json")) and process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to the whole group
        out, err = process.communicate(timeout=60)
    while group_exists(process.pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not group_exists(process.pid)
    assert process.returncode == 130, err
    assert out == ""
    assert f"Stopped. The finished jobs are kept in {os.path.join('out', 'jobs')}; the same command continues." in err
    assert "Traceback" not in err
    finished = {path.name for path in jobs.glob("*.json")}
    assert 0 < len(finished) < 5000
    outcome = tidegate("compare", *OPTIONS, *TINY)  # the command line of this process runs in the same folder
    assert outcome.code == 0, outcome.err
    assert finished <= {path.name for path in jobs.glob("*.json")}
