import json

import pytest


def test_the_runs_own_held_out_text_gives_the_best_of_its_summary(tidegate, run):
    figures = json.loads(tidegate("eval", run, "--json").out)
    summary = json.loads((run / "summary.json").read_text())
    assert figures["bpc"] == pytest.approx(summary["best"]["heldout_bpc"], rel=1e-6)
    assert figures["baseline"] == summary["baseline"]
    last = json.loads(tidegate("eval", run, "--json", "--checkpoint", "last").out)
    assert last["ppl"] == pytest.approx(summary["heldout_ppl"], rel=1e-6)


def test_all_of_another_text_is_scored_and_its_unknown_tokens_are_counted(tidegate, run, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("The cat sat on the zebra.")
    figures = json.loads(tidegate("eval", run, other, "--json").out)
    assert (figures["tokens"], figures["unknown"]) == (24, 2)
    words = tidegate("eval", run, other).out
    assert "2 tokens are not in the model's vocabulary (scored as <unk>)" in words


def test_the_baseline_of_another_text_is_counted_on_the_runs_training_text(tidegate, run, text):
    training = text.read_text()[: int(0.9 * len(text.read_text()))]
    heldout = text.with_name("heldout.txt")
    heldout.write_text(text.read_text()[len(training) :])
    summary = json.loads((run / "summary.json").read_text())
    figures = json.loads(tidegate("eval", run, heldout, "--json").out)
    expected = summary["baseline"]
    assert figures["baseline"] == expected | {key: pytest.approx(expected[key], rel=1e-12) for key in ("ppl", "bpc")}
    assert "counted on the run's training text" in tidegate("eval", run, heldout).out

    text.write_text("another text")
    outcome = tidegate("eval", run, heldout)
    assert "No n-gram baseline: the text of the run has changed" in outcome.out
    assert json.loads(tidegate("eval", run, heldout, "--json").out)["baseline"] is None


def test_the_printed_result_names_the_token_the_streams_and_the_baseline(tidegate, run):
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


def test_a_sample_of_a_large_text_is_reported(tidegate, text, small, tmp_path, monkeypatch):
    monkeypatch.setenv("TIDEGATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("tidegate.text.source.LARGE", 1000)
    monkeypatch.setattr("tidegate.text.dataset.EVALUATED", 100)
    monkeypatch.setattr("tidegate.text.ngram.COUNTED", 500)
    run = tmp_path / "run"
    sentence = "counted on the last 500 of 1,098 training tokens"
    trained = tidegate("train", text, *small, "--epochs", 1, "--out", run)
    assert "122 held out (the first 100 are evaluated)" in trained.out
    assert sentence in trained.out
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["heldout_tokens"], summary["heldout_of"]) == (100, 122)
    assert summary["baseline"]["sample"] == sentence
    evaluated = tidegate("eval", run)
    assert "the first 100 of 122 held-out tokens of cats.txt" in evaluated.out
    assert sentence in evaluated.out


def test_memory_mapped_tokens_train_and_resume_as_those_in_memory(tidegate, text, small, tmp_path, monkeypatch):
    monkeypatch.setenv("TIDEGATE_CACHE", str(tmp_path / "cache"))
    tidegate("train", text, *small, "--epochs", 2, "--out", tmp_path / "small")
    monkeypatch.setattr("tidegate.text.source.LARGE", 1000)  # from here on the tokens are memory-mapped
    tidegate("train", text, *small, "--epochs", 2, "--out", tmp_path / "large")
    figures = [json.loads((tmp_path / name / "summary.json").read_text()) for name in ("small", "large")]
    assert figures[0]["heldout_bpc"] == figures[1]["heldout_bpc"]
    assert figures[0]["train_bpc"] == figures[1]["train_bpc"]
    tidegate("train", "--resume", tmp_path / "small", "--epochs", 3)
    tidegate("train", "--resume", tmp_path / "large", "--epochs", 3)
    figures = [json.loads((tmp_path / name / "summary.json").read_text()) for name in ("small", "large")]
    assert figures[0]["heldout_bpc"] == figures[1]["heldout_bpc"]


def test_weights_of_a_smaller_dtype_are_scored_beside_the_models_own(tidegate, run):
    own = json.loads(tidegate("eval", run, "--json").out)
    assert (own["dtype"], own["bpc_more"]) == (None, None)
    for dtype in ("bfloat16", "int8", "float32"):
        found = json.loads(tidegate("eval", run, "--dtype", dtype, "--json").out)
        assert found["bpc"] - found["bpc_more"] == pytest.approx(own["bpc"], rel=1e-6)
        assert abs(found["bpc_more"]) < (1e-6 if dtype == "float32" else 0.05)
        assert dtype == "float32" or found["bpc"] != own["bpc"]
    assert "With weights stored as int8" in tidegate("eval", run, "--dtype", "int8").out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--dtype", "int4"), "must be one of float32, bfloat16, int8, got 'int4'"),
        (("--dtype", "int8", "--engine", "eager"), 'needs the engine "cpu"'),
        (("--dtype", "int8", "--device", "cuda"), "is for the CPU, got the device cuda"),
    ],
)
def test_a_dtype_that_is_impossible_is_refused(tidegate, run, options, message):
    outcome = tidegate("eval", run, *options)
    assert outcome.code == 2
    assert message in " ".join(outcome.err.split())
