import json

import pytest


def test_the_runs_own_held_out_text_gives_the_best_of_its_summary(tidegate, run):
    figures = json.loads(tidegate("eval", run, "--json").out)
    summary = json.loads((run / "summary.json").read_text())
    assert figures["bpc"] == pytest.approx(summary["best"]["heldout_bpc"], rel=1e-6)
    assert figures["baseline"] == summary["baseline"]
    last = json.loads(tidegate("eval", run, "--json", "--checkpoint", "last").out)
    assert last["ppl"] == pytest.approx(summary["heldout_ppl"], rel=1e-6)


def test_another_text_is_scored_whole_and_its_unknown_tokens_are_counted(tidegate, run, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("The cat sat on the zebra.")
    figures = json.loads(tidegate("eval", run, other, "--json").out)
    assert (figures["tokens"], figures["unknown"]) == (24, 2)
    words = tidegate("eval", run, other).out
    assert "2 tokens are not in the model's vocabulary, and count as <unk>" in words


def test_the_baseline_of_another_text_is_counted_on_the_runs_training_text(tidegate, run, text):
    training = text.read_text()[: int(0.9 * len(text.read_text()))]
    heldout = text.with_name("heldout.txt")
    heldout.write_text(text.read_text()[len(training) :])
    summary = json.loads((run / "summary.json").read_text())
    figures = json.loads(tidegate("eval", run, heldout, "--json").out)
    assert figures["baseline"] == pytest.approx(summary["baseline"], rel=1e-12)
    assert "counted on the run's training text" in tidegate("eval", run, heldout).out

    text.write_text("another text")
    outcome = tidegate("eval", run, heldout)
    assert "No n-gram baseline: the text of the run has changed" in outcome.out
    assert json.loads(tidegate("eval", run, heldout, "--json").out)["baseline"] is None


def test_in_words_it_names_the_token_the_streams_and_the_bar(tidegate, run):
    words = tidegate("eval", run, "--streams", 1).out
    for word in ("per char", "bits per character", "1 stream)", "n-gram baseline"):
        assert word in words


@pytest.mark.parametrize(("tokens", "ratio"), [("word", 4.0), ("byte", 1.0)])
def test_bits_are_per_character_whatever_the_tokens_are(tidegate, text, tmp_path, tokens, ratio):
    folder = tmp_path / "run"
    options = ("--hidden", 8, "--batch", 2, "--steps", 5, "--epochs", 1, "--tokens", tokens, "--out", folder)
    assert tidegate("train", text, *options).code == 0
    figures = json.loads(tidegate("eval", folder, "--json").out)
    assert figures["characters"] / figures["tokens"] == pytest.approx(ratio, rel=0.15)


def test_a_missing_run_is_refused(tidegate):
    outcome = tidegate("eval", "runs/none")
    assert outcome.code == 2
    assert "no run at runs/none" in outcome.err
