import json

import pytest


def test_a_run_leaves_its_checkpoints_log_summary_and_picture(run):
    assert {p.name for p in run.iterdir()} == {
        "run.json", "last.safetensors", "best.safetensors", "log.jsonl", "summary.json", "curves.png",
        ".lock",
    }  # fmt: skip
    summary = json.loads((run / "summary.json").read_text())
    assert set(summary) >= {
        "cell", "engine", "train_ppl", "heldout_ppl", "heldout_bpc", "baseline", "tokens_per_s",
        "seconds", "epochs", "seed", "data_sha256", "versions",
    }  # fmt: skip
    assert summary["cell"] == "gru"
    assert summary["epochs"] == 2
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_end_says_how_the_held_out_text_was_read(tidegate, text, small):
    outcome = tidegate("train", text, *small, "--epochs", 1, "--min-freq", 30)
    assert "1 epoch on cats.txt" in outcome.out
    assert "The held-out text was scored in 1 part, each from the state zero; " in outcome.out
    assert "of its tokens count as <unk>" in outcome.out


def test_the_first_figures_include_the_speed(tidegate, text, small):
    first = next(line for line in tidegate("train", text, *small, "--epochs", 1).out.splitlines() if "char/s" in line)
    assert " 0 char/s" not in first


def test_the_status_shows_every_figure(tidegate, text, small):
    outcome = tidegate("train", text, *small, "--epochs", 2, "--eval-every", 20)
    line = next(line for line in outcome.out.splitlines() if line.startswith("epoch"))
    for name in (
        "step",
        "train ppl",
        "(last 20 steps)",
        "held-out ppl",
        "bpc",
        "char/s",
        "grad",
        "clipped",
        "lr",
        "left",
    ):
        assert name in line


def test_the_end_shows_the_continuations_of_the_prompts_by_both_checkpoints(tidegate, text, small, tmp_path):
    prompts = ("--prompt", "The cat", "--prompt", "A d", "--prompt", "\u03b2")
    outcome = tidegate("train", text, *small, "--epochs", 2, *prompts, "--out", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    first, second, absent = summary["continuations"]
    assert (first["prompt"], second["prompt"]) == ("The cat", "A d")
    for each in (first, second):
        for which in ("last", "best"):
            options = ("--length", 50, "--temperature", 0, "--checkpoint", which, "--prompt", each["prompt"])
            assert tidegate("sample", tmp_path / "run", *options).out == each["prompt"] + each[which] + "\n"
            assert f"{each['prompt']}|{each[which]}" in outcome.out
    assert absent.keys() == {"prompt", "absent"}
    assert "not continued, because the character" in outcome.out
    resumed = tidegate("train", "--resume", tmp_path / "run", "--epochs", 3, "--prompt", "The")
    assert "The|" in resumed.out
    assert "A d|" not in resumed.out


def test_without_a_folder_the_next_free_one_under_runs_is_taken(tidegate, text, small, tmp_path):
    for n in (1, 2):
        assert tidegate("train", text, *small, "--epochs", 1).code == 0
        assert (tmp_path / "runs" / f"cats-gru-{n}" / "summary.json").is_file()


@pytest.mark.parametrize("cell", ["rnn", "residual", "lstm", "reset-before-gru", "peephole-lstm"])
def test_every_cell_can_be_trained_evaluated_and_sampled(tidegate, text, small, tmp_path, cell):
    folder = tmp_path / "run"
    assert tidegate("train", text, *small, "--cell", cell, "--epochs", 1, "--out", folder).code == 0
    figures = json.loads(tidegate("eval", folder, "--json").out)
    assert figures["cell"] == cell
    assert len(tidegate("sample", folder, "--length", 20, "--prompt", "The").out) == len("The") + 20 + 1


MINE = '''
from tidegate import Cell, sigmoid, tanh


class Minimal(Cell):
    """h' = f h + (1 - f) tanh(a_n + U_n (f h))"""

    gates = ("f", "n")
    state = ("h",)

    def equations(a, U, h):
        f = sigmoid(a.f + U.f(h))
        n = tanh(a.n + U.n(f * h))
        return (f * h + (1 - f) * n,), (f, n)
'''


def test_a_users_cell_trains_and_its_run_is_complete_without_the_users_file(tidegate, text, small, tmp_path):
    mine, folder = tmp_path / "mine.py", tmp_path / "run"
    mine.write_text(MINE)
    assert tidegate("train", text, *small, "--cell", "mine.py:Minimal", "--epochs", 1, "--out", folder).code == 0
    mine.unlink()
    assert json.loads(tidegate("eval", folder, "--json").out)["cell"] == "mine.py:Minimal"
    assert tidegate("sample", folder, "--length", 5).code == 0
    outcome = tidegate("train", "--resume", folder, "--epochs", 2)
    assert outcome.code == 0, outcome.err


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            "import no_such_file_beside_it",
            "No module named 'no_such_file_beside_it'. The file of a cell cannot import",
        ),
        ("raise SystemExit('bye')", "cannot be imported: SystemExit: bye."),
    ],
)
def test_a_users_file_that_cannot_be_imported_is_refused_with_the_reason(
    tidegate, text, small, tmp_path, content, words
):
    (tmp_path / "mine.py").write_text(content)
    outcome = tidegate("train", text, *small, "--cell", "mine.py:Mine", "--epochs", 1)
    assert outcome.code == 2
    assert words in outcome.err


def test_several_layers_with_dropout_train(tidegate, text, small, tmp_path):
    options = ("--layers", 2, "--dropout", 0.1, "--cell", "lstm", "--epochs", 1, "--out", tmp_path / "run")
    outcome = tidegate("train", text, *small, *options)
    assert outcome.code == 0, outcome.err
    assert tidegate("sample", tmp_path / "run", "--length", 5).code == 0


def test_a_text_can_come_through_a_pipe(tidegate, text, small, tmp_path, monkeypatch):
    import io
    import sys

    def piped():
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.read_bytes())))

    piped()
    assert tidegate("train", "-", *small, "--epochs", 1, "--out", tmp_path / "run").code == 0
    piped()
    assert tidegate("train", "--resume", tmp_path / "run", "--epochs", 2).code == 0


def test_the_device_may_change_on_resume_and_one_that_is_missing_is_refused(
    tidegate, text, small, tmp_path, monkeypatch
):
    folder = tmp_path / "run"
    assert tidegate("train", text, *small, "--epochs", 1, "--device", "cpu", "--out", folder).code == 0
    assert json.loads((folder / "summary.json").read_text())["device"] == "cpu"
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    refused = tidegate("train", "--resume", folder, "--epochs", 2, "--device", "cuda")
    assert refused.code == 2
    assert "--device cuda is not available" in refused.err
    assert tidegate("train", "--resume", folder, "--epochs", 2, "--device", "auto").code == 0
    for verb in ("eval", "sample"):
        assert "--device cuda is not available" in tidegate(verb, folder, "--device", "cuda").err
        assert tidegate(verb, folder, "--device", "cpu").code == 0
