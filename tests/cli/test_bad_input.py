"""Every bad input gives one message on stderr, without a traceback, and makes no run folder."""

import io
import os
import shutil
import subprocess
import sys

import pytest

REFUSED = [
    # (which text, options, words of the message)
    ("missing", (), ["no corpus and no file", "(builtin, time-machine, tiny-shakespeare)"]),
    ("unknown corpus", (), ['"tiny-shakespear"', "Did you mean tiny-shakespeare"]),
    ("directory", (), ["is a folder, not a text"]),
    ("empty", (), ["error: the text source.txt", "is empty: 0 bytes"]),
    ("short", (), ["the held-out part would have 1 token", "Use a longer text"]),
    ("binary", (), ["looks binary", "NUL"]),
    ("latin-1", (), ["is not utf-8: byte 0xe9 at offset", "--encoding latin-1"]),
    ("good", ("--encoding", "klingon"), ["--encoding must be one that Python supports", '"klingon"']),
    ("one letter", (), ["the same token 'a'", "nothing to learn"]),
    ("good", ("--hidden", "0"), ["--hidden must be an integer of at least 1, got 0"]),
    ("good", ("--layers", "0"), ["--layers must be an integer of at least 1, got 0"]),
    ("good", ("--lr", "-0.1"), ["--lr must be a positive number, got -0.1"]),
    ("good", ("--clip", "0"), ["--clip must be a positive number, got 0.0"]),
    ("good", ("--optimizer", "adam"), ["--optimizer must be one of adamw, sgd, got 'adam'"]),
    ("good", ("--heldout", "0"), ["--heldout must be a share"]),
    ("good", ("--heldout", "1"), ["--heldout must be a share", "a whole number of at least 2 tokens, got 1.0"]),
    (
        "good",
        ("--first", "10"),
        ["the held-out part would have 1 token, and needs 2", "greater --first or --heldout"],
    ),
    ("good", ("--first", "1"), ["--first must be an integer of at least 2, got 1"]),
    ("good", ("--heldout", "0.0001"), ["the held-out part would have 1 token, and needs 2", "or a greater --heldout."]),
    ("good", ("--heldout", "0.9999"), ["the training part would have 0 tokens, and needs 2. Use a smaller --heldout."]),
    ("good", ("--heldout", "1e300"), ["--heldout must be a share", "got 1e+300"]),
    (
        "good",
        ("--first", "20"),
        ["the training part has 20 tokens", "Use a greater --first (it is 20), or fewer --steps"],
    ),
    ("good", ("--heldout", "1190"), ["Use a smaller --heldout (it is 1190), or a --batch of at most 1"]),
    ("good", ("--device", "gpu"), ["--device must be one of auto, cpu, cuda, mps, got 'gpu'. Did you mean cuda"]),
    ("good", ("--recipe", "D2L"), ["--recipe must be one of default, d2l, got 'D2L'. Did you mean d2l?"]),
    ("good", ("--heldout", "nan"), ["--heldout must be a share", "got nan"]),
    ("good", ("--heldout", "inf"), ["--heldout must be a share", "got inf"]),
    ("no name", (), ['no corpus and no file is named ""']),
    ("good", ("--hidden", "900000000"), ["more memory than is available", "smaller --hidden"]),
    (
        "good",
        ("--first", "99999"),
        ["too short to train on 99999", "or a smaller --first or --heldout"],
    ),
    ("good", ("--batch", "999"), ["one batch of 999 rows x 10 steps", "Use a longer text, or a --batch of at most 10"]),
    ("good", ("--minutes", "0"), ["--minutes must be a positive number, got 0.0"]),
    ("good", ("--recipe", "fast"), ["--recipe must be one of default, d2l, got 'fast'"]),
    ("good", ("--cell", "gruu"), ["--cell must be one of rnn", "'gruu'"]),
    ("good", ("--cell", "mine.py:Cell"), ["there is no file mine.py"]),
    ("good", ("--engine", "warp"), ["--engine must be one of auto", "'warp'"]),
    ("good", ("--checkpoint", "best"), ["--checkpoint is only for --resume"]),
    ("good", ("--resume", "runs/none"), ["no run at runs/none"]),
    ("good", ("--resume", "run", "--out", "other"), ["exclude each other"]),
]


@pytest.fixture
def source(tmp_path, text):
    def make(kind):
        path = tmp_path / "source.txt"
        content = {"empty": b"", "short": b"abcabc", "binary": b"\x7fELF\0\0\1ab" * 99, "one letter": b"a" * 5000,
                   "latin-1": "un café noir ".encode("latin-1") * 200}  # fmt: skip
        if kind in content:
            path.write_bytes(content[kind])
            return path
        return {"good": text, "missing": tmp_path / "none.txt", "unknown corpus": "tiny-shakespear", "no name": "",
                "directory": tmp_path}[kind]  # fmt: skip

    return make


@pytest.mark.parametrize(("kind", "options", "words"), REFUSED, ids=lambda value: str(value)[:40])
def test_untrainable_input_is_refused_with_the_reason(tidegate, source, tmp_path, small, kind, options, words):
    length = () if {"--epochs", "--minutes"} & set(options) else ("--epochs", "1")
    outcome = tidegate("train", source(kind), *small, *length, *options)
    assert outcome.code == 2
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    for word in words:
        assert word in outcome.err
    assert not (tmp_path / "runs").exists()


def test_an_output_folder_that_contains_a_run_is_refused_and_not_changed(tidegate, run, text, small):
    before = {p.name: p.stat().st_mtime_ns for p in run.iterdir()}
    outcome = tidegate("train", text, *small, "--out", run)
    assert outcome.code == 2
    assert f"--out {run} already contains a run. Continue it with --resume {run}" in outcome.err
    assert {p.name: p.stat().st_mtime_ns for p in run.iterdir()} == before


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder that nobody can write")
def test_an_output_folder_that_cannot_be_made_is_refused(tidegate, text, small):
    outcome = tidegate("train", text, *small, "--out", "/proc/tidegate/run")
    assert outcome.code == 2
    assert "--out must be a writable folder, got /proc/tidegate/run" in outcome.err


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_gate(tidegate, text, small, tmp_path):
    folder = tmp_path / "run"
    outcome = tidegate("train", text, *small, "--lr", "1e9", "--schedule", "constant", "--epochs", 1, "--out", folder)
    assert outcome.code == 3
    for word in ("diverged at step 2", "gradient norm", "gate ", "the last good checkpoint, of step 0", "lower --lr"):
        assert word in outcome.err
    assert (folder / "last.safetensors").is_file()


def test_a_damaged_checkpoint_is_refused_and_the_other_one_named(tidegate, run):
    best = run / "best.safetensors"
    content = bytearray(best.read_bytes())
    content[-5] ^= 1
    best.write_bytes(content)
    for verb in ("eval", "sample"):
        outcome = tidegate(verb, run)
        assert outcome.code == 2
        assert "best.safetensors is damaged" in outcome.err
        assert "--checkpoint last" in outcome.err
        assert tidegate(verb, run, "--checkpoint", "last").code == 0


def test_a_checkpoint_of_another_cell_is_refused(tidegate, run):
    outcome = tidegate("train", "--resume", run, "--cell", "lstm", "--epochs", 4)
    assert outcome.code == 2
    assert "was trained with --cell gru, got lstm" in outcome.err


def test_a_text_that_changed_since_is_refused_by_its_hash(tidegate, run, text):
    text.write_text(text.read_text().replace("cat", "bat"))
    for outcome in (tidegate("train", "--resume", run, "--epochs", 4), tidegate("eval", run)):
        assert outcome.code == 2
        assert "the text of the run has changed" in outcome.err
        assert "SHA-256" in outcome.err


def test_a_prompt_outside_the_vocabulary_is_named_with_the_nearest_choices(tidegate, run):
    outcome = tidegate("sample", run, "--prompt", "The Zebra")
    assert outcome.code == 2
    assert "the character 'Z' (number 5 of the prompt) is not in the model's vocabulary" in outcome.err
    assert "Nearest: " in outcome.err


@pytest.mark.parametrize(
    ("option", "value"), [("--length", 0), ("--temperature", -1), ("--top-k", -2), ("--seed", -1), ("--seed", 2**63)]
)
def test_invalid_settings_of_a_sample_are_refused(tidegate, run, option, value):
    outcome = tidegate("sample", run, option, value)
    assert outcome.code == 2
    assert f"{option} must be " in outcome.err


def test_an_option_that_does_not_exist_is_a_usage_error(tidegate, text):
    outcome = tidegate("train", text, "--hiden", 3)
    assert outcome.code == 2
    assert "--hiden" in outcome.err
    assert "Traceback" not in outcome.err


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if not mount or os.name == "nt" or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    made = subprocess.run([mount, "-t", "tmpfs", "-o", "size=128k", "tmpfs", folder], capture_output=True, timeout=20)
    if made.returncode:
        pytest.skip("no tmpfs may be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True, timeout=20)


def test_a_full_disk_keeps_the_earlier_checkpoint_and_the_run_can_be_resumed(tidegate, text, small, small_disk):
    folder = small_disk / "run"
    options = ("train", text, *small, "--epochs", 2, "--eval-every", 30, "--out", folder)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(90 * 1024))  # one checkpoint fits beside it, the next does not
    outcome = tidegate(*options)
    assert outcome.code == 2
    assert "No space left on device" in outcome.err
    assert "Traceback" not in outcome.err
    assert [p.name for p in folder.iterdir() if p.name.endswith(".partial")] == []
    ballast.unlink()
    resumed = tidegate("train", "--resume", folder)
    assert resumed.code == 0, resumed.err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_an_output_that_cannot_be_written_is_reported_in_one_line(run):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tidegate", "eval", run], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert done.returncode == 2
    assert done.stderr == "error: the output cannot be written: No space left on device.\n"


def test_a_run_that_another_process_trains_is_not_changed(tidegate, run):
    code = (
        "import sys, pathlib, tidegate.train.folder as f\n"
        f"with f.open_run(pathlib.Path({str(run)!r})).locked(): print('locked', flush=True); sys.stdin.read()"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout.readline() == "locked\n"
        outcome = tidegate("train", "--resume", run, "--epochs", 4)
        assert outcome.code == 2
        assert f"another process is training the run in {run}" in outcome.err
        other.kill()  # however it ends, the run is free again
    assert tidegate("train", "--resume", run, "--epochs", 3).code == 0


def test_a_text_from_a_pipe_must_be_sent_again(tidegate, text, small, tmp_path, monkeypatch):
    def piped(terminal):
        stream = io.TextIOWrapper(io.BytesIO(text.read_bytes()))
        stream.isatty = lambda: terminal
        monkeypatch.setattr(sys, "stdin", stream)

    folder = tmp_path / "run"
    piped(terminal=False)
    assert tidegate("train", "-", *small, "--epochs", 1, "--out", folder).code == 0
    piped(terminal=True)
    for outcome in (tidegate("train", "--resume", folder, "--epochs", 2), tidegate("eval", folder)):
        assert outcome.code == 2
        assert "was read from standard input and was not saved. Send it again" in outcome.err
    assert (
        "No n-gram baseline: the run's training text was read from standard input" in tidegate("eval", folder, text).out
    )
