"""A run that is stopped at any moment, in any way, is resumed to the same numbers as without the stop."""

import json
import os
import random
import select
import signal
import subprocess
import sys
import time

import pytest
import safetensors.torch
import torch

from tidegate.train import checkpoint, loop

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def weights(run):
    tensors = safetensors.torch.load_file(run / "last.safetensors")
    return {name: value for name, value in tensors.items() if name.startswith("model.")}


def same(run, other):
    one, two = weights(run), weights(other)
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.fixture
def straight(tidegate, text, small, tmp_path):
    """A run of 4 epochs without a stop."""
    folder = tmp_path / "straight"
    assert tidegate("train", text, *small, "--epochs", 4, "--out", folder).code == 0
    return folder


@pytest.fixture
def stop_at(monkeypatch):
    """Let the user press Ctrl-C at these steps."""

    def arrange(*steps):
        step = loop.Trainer.step

        def stepped(trainer):
            step(trainer)
            if trainer.position.step in steps:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.01)

        monkeypatch.setattr(loop.Trainer, "step", stepped)

    return arrange


def test_ctrl_c_saves_says_how_to_continue_and_loses_nothing(tidegate, text, small, tmp_path, straight, stop_at):
    folder = tmp_path / "stopped"
    stop_at(17, 60)
    outcome = tidegate("train", text, *small, "--epochs", 4, "--out", folder)
    assert outcome.code == 130
    assert f"Continue with: tidegate train --resume {folder}" in outcome.out
    assert tidegate("train", "--resume", folder).code == 130  # interrupted twice
    assert not same(folder, straight)
    assert tidegate("train", "--resume", folder).code == 0
    assert same(folder, straight)
    one, two = (json.loads((f / "summary.json").read_text()) for f in (folder, straight))
    for name in ("train_ppl", "heldout_ppl", "best", "epochs", "steps", "baseline"):
        assert one[name] == two[name]


def test_half_the_epochs_and_then_the_other_half_are_the_same_at_a_constant_rate(tidegate, text, small, tmp_path):
    options = (*small, "--schedule", "constant", "--optimizer", "sgd", "--lr", "0.5")
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    assert tidegate("train", text, *options, "--epochs", 4, "--out", whole).code == 0
    assert tidegate("train", text, *options, "--epochs", 2, "--out", halves).code == 0
    assert tidegate("train", "--resume", halves, "--epochs", 4).code == 0
    assert same(whole, halves)


def test_a_finished_run_says_how_to_continue(tidegate, run):
    outcome = tidegate("train", "--resume", run)
    assert outcome.code == 2
    assert "is finished (2 epochs). Give a greater --epochs" in outcome.err


def test_a_run_killed_before_its_summary_gets_it_on_resume(tidegate, run):
    (run / "summary.json").unlink()
    assert tidegate("train", "--resume", run).code == 0
    assert (run / "summary.json").is_file()


def test_a_resume_from_the_best_checkpoint_drops_the_log_after_it(tidegate, run):
    (run / "last.safetensors").write_bytes(b"spoilt")
    outcome = tidegate("train", "--resume", run, "--epochs", 3)
    assert outcome.code == 2
    assert "--checkpoint best" in outcome.err
    assert tidegate("train", "--resume", run, "--checkpoint", "best", "--epochs", 3).code == 0
    steps = [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)


def start(*arguments, cwd):
    return subprocess.Popen(
        [sys.executable, "-m", "tidegate", *map(str, arguments)],
        cwd=cwd, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for(path, process, terminal=None):
    """Wait until the process has made the file; read what it prints to `terminal`, which would block it when full."""
    deadline = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        if terminal is not None and select.select([terminal], [], [], 0.01)[0]:
            os.read(terminal, 1 << 16)
        time.sleep(0.01)


def test_a_run_killed_at_any_moment_resumes_to_the_same_bits(tidegate, text, small, tmp_path):
    options = (*small, "--epochs", 6, "--eval-every", 5)
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    assert tidegate("train", text, *options, "--out", straight).code == 0
    moments = random.Random(0)
    process = start("train", text, *options, "--out", killed, cwd=tmp_path)
    for _ in range(2):
        deadline = time.monotonic() + 60
        begun = (killed / "log.jsonl").stat().st_size if (killed / "log.jsonl").exists() else 0
        while process.poll() is None and time.monotonic() < deadline:
            if (killed / "log.jsonl").exists() and (killed / "log.jsonl").stat().st_size != begun:
                time.sleep(moments.uniform(0, 0.1))
                break
            time.sleep(0.002)
        process.kill()
        process.communicate(timeout=60)
        process = start("train", "--resume", killed, cwd=tmp_path)
    _, err = process.communicate(timeout=120)
    assert process.returncode in (0, 2), err  # 2: it was finished before the last kill
    assert same(killed, straight)


@pytest.mark.parametrize("place", ["in a step", "while a checkpoint is written"])
def test_a_second_ctrl_c_stops_immediately_and_damages_no_file(
    tidegate, text, small, tmp_path, straight, monkeypatch, place
):
    folder, sent = tmp_path / "run", []

    def press_twice():
        """Once, at step 17 or, of the checkpoints, in the third that is written."""
        sent.append(place)
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)  # the handler runs between two bytecodes

    step, fsync = loop.Trainer.step, os.fsync

    def stepped(trainer):
        step(trainer)
        if place == "in a step" and trainer.position.step == 17 and not sent:
            press_twice()

    def synced(handle):
        if place != "in a step" and (folder / "best.safetensors").exists() and not sent:
            press_twice()
        fsync(handle)

    monkeypatch.setattr(loop.Trainer, "step", stepped)
    monkeypatch.setattr(checkpoint.os, "fsync", synced)
    outcome = tidegate("train", text, *small, "--epochs", 4, "--out", folder)
    assert outcome.code == 130
    assert (
        "Stopped immediately; the last checkpoint is from an earlier step. Continue with: tidegate train" in outcome.out
    )
    assert sent == [place]
    found = [p for p in (folder / "last.safetensors", folder / "best.safetensors") if p.exists()]
    assert found
    assert all(checkpoint.load(p).facts["position"]["step"] < 17 for p in found)
    assert [p.name for p in folder.iterdir() if p.name.endswith(".partial")] == []
    assert tidegate("train", "--resume", folder).code == 0
    assert same(folder, straight)


@pytest.mark.skipif(not hasattr(signal, "SIGTERM") or os.name == "nt", reason="no signals to another process")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_from_outside_saves_the_step_that_it_came_in(text, small, tmp_path, name):
    folder, number = tmp_path / "run", getattr(signal, name)
    process = start("train", text, *small, "--epochs", 10**4, "--eval-every", 10**4, "--out", folder, cwd=tmp_path)
    wait_for(folder / "log.jsonl", process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    assert "Stopped and saved" in out
    assert checkpoint.load(folder / "last.safetensors").facts["position"]["step"] > 0


@pytest.mark.skipif(os.name == "nt", reason="no terminals of this kind")
def test_a_run_whose_terminal_is_closed_saves_and_ends(text, small, tmp_path):
    """The kernel sends SIGHUP when a terminal is closed, and what a program prints there from then on is an error."""
    folder = tmp_path / "run"
    code = (
        "import fcntl, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
        "from tidegate.cli import main\n"
        "main(sys.argv[1:])"
    )
    arguments = ["train", text, *small, "--epochs", 10**4, "--eval-every", 10**4, "--out", folder]
    ours, its = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdin=its, stdout=its, stderr=its, env=ENVIRONMENT,
        cwd=tmp_path, start_new_session=True,
    ) as process:  # fmt: skip
        os.close(its)
        wait_for(folder / "log.jsonl", process, terminal=ours)
        os.close(ours)
        assert process.wait(timeout=60) == 128 + signal.SIGHUP
    assert checkpoint.load(folder / "last.safetensors").facts["position"]["step"] > 0


def test_a_missing_best_checkpoint_is_written_again(tidegate, run):
    (run / "best.safetensors").unlink()
    assert tidegate("train", "--resume", run, "--epochs", 3, "--lr", "1e-12").code == 0
    assert tidegate("eval", run).code == 0


@pytest.mark.parametrize("line", ["5", "[]", '{"step": "3"}', '{"kind": "train", "step": 3}', "{}", "no json"])
def test_a_damaged_line_of_the_log_is_left_out(tidegate, run, line):
    log = run / "log.jsonl"
    before = log.read_text().splitlines()
    log.write_text("\n".join([before[0], line, *before[1:]]) + "\n")
    outcome = tidegate("train", "--resume", run, "--epochs", 3)
    assert outcome.code == 0, outcome.err
    assert [kept for kept in log.read_text().splitlines() if kept != line][: len(before)] == before


def test_a_text_that_has_moved_must_be_named_at_its_new_place(tidegate, run, text):
    text.rename(text.with_name("moved.txt"))
    outcome = tidegate("train", "--resume", run, "--epochs", 3)
    assert outcome.code == 2
    assert f"the text of the run is no longer at {text}. Put it back, or name its new place" in outcome.err
    assert tidegate("train", "--resume", run, text.with_name("moved.txt"), "--epochs", 3).code == 0
