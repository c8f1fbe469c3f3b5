import json

import pytest


def test_a_run_leaves_its_checkpoints_log_summary_and_picture(run):
    assert {p.name for p in run.iterdir()} == {
        "run.json", "last.safetensors", "best.safetensors", "log.jsonl", "summary.json", "curves.png",
    }  # fmt: skip
    summary = json.loads((run / "summary.json").read_text())
    assert set(summary) >= {
        "cell", "engine", "train_ppl", "heldout_ppl", "heldout_bpc", "ngram_bpc", "ngram_order", "tokens_per_s",
        "seconds", "epochs", "seed", "data_sha256", "versions",
    }  # fmt: skip
    assert summary["cell"] == "gru"
    assert summary["epochs"] == 2
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_status_names_every_figure(tidegate, text, small):
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


def test_without_a_folder_the_next_free_one_under_runs_is_taken(tidegate, text, small, tmp_path):
    for n in (1, 2):
        assert tidegate("train", text, *small, "--epochs", 1).code == 0
        assert (tmp_path / "runs" / f"cats-gru-{n}" / "summary.json").is_file()


@pytest.mark.parametrize("cell", ["rnn", "residual", "lstm", "reset-before-gru", "peephole-lstm"])
def test_every_cell_trains_evaluates_and_writes(tidegate, text, small, tmp_path, cell):
    folder = tmp_path / "run"
    assert tidegate("train", text, *small, "--cell", cell, "--epochs", 1, "--out", folder).code == 0
    figures = json.loads(tidegate("eval", folder, "--json").out)
    assert figures["cell"] == cell
    assert len(tidegate("sample", folder, "--length", 20, "--prompt", "The").out) == len("The") + 20 + 1
