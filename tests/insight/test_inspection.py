"""The inspection of a run: every figure is measured and is JSON, and errors for invalid texts and runs."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.insight.trained import TINY, made_text, save_run, train_run

import tidegate
from tidegate.cells import CELLS
from tidegate.errors import ArgumentError, CheckpointError, DataError, ShapeError
from tidegate.insight.inspection import inspect, inspect_all
from tidegate.train.evaluate import evaluate
from tidegate.train.evaluate_run import training_text

FIGURES = (
    "heldout", "training", "lag", "lag_initial", "lyapunov", "lyapunov_initial", "jacobians", "gates", "horizon",
    "connectivity", "units",
)  # fmt: skip
OWN = """
import tidegate
from tidegate import sigmoid, tanh

class Mine(tidegate.Cell):
    gates = ("f", "n")
    state = ("h", "s")

    def equations(a, U, h, s):
        f = sigmoid(a.f + U.f(h))
        n = tanh(a.n + U.n(f * h))
        new = (1 - f) * h + f * n
        return (new, 0.5 * s + new), (f, n)
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train_run(tmp_path_factory.mktemp("gru"))


@pytest.fixture(scope="module")
def found(run):
    return inspect(run, effort=TINY)


def test_every_figure_is_measured_and_is_json(found):
    assert not found.not_measured
    assert all(getattr(found, name) is not None for name in FIGURES)
    content = found.as_dict()
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert content["tidegate"] == "inspection"
    assert all(finding.sentence in str(found) for finding in found.findings)
    assert found._repr_html_().count("<li>") == len(found.findings)
    assert {"run", "text", "passage", "findings", *FIGURES} <= content.keys()


def test_the_loss_is_that_of_the_evaluation(found, run):
    trained = tidegate.load(run)
    heldout = training_text(trained, run, None).heldout
    score = evaluate(trained.model, heldout, streams=1)
    assert found.heldout.tokens >= 0.7 * score.tokens
    assert found.heldout.nats == pytest.approx(score.nats, rel=0.02)
    assert found.bits == pytest.approx(score.bpc / score.nats)


def test_the_passage_has_a_prediction_for_each_token_but_the_first(found):
    n = len(found.passage["tokens"])
    assert n == TINY.passage
    assert "".join(found.passage["tokens"]) == found.passage["text"]
    assert found.passage["loss"].shape == (n - 1,)
    assert found.connectivity.strength.shape == (n - 1, TINY.connected + 1)


def test_the_same_command_gives_the_same_numbers(found, run):
    again = inspect(run, effort=TINY)
    first, second = found.as_dict(), again.as_dict()
    first.pop("seconds"), second.pop("seconds")
    assert first == second


@pytest.mark.parametrize("cell", [*CELLS, "own"])
def test_every_cell_can_be_inspected(cell, tmp_path):
    if cell == "own":
        (tmp_path / "mine.py").write_text(OWN)
        cell = f"{tmp_path / 'mine.py'}:Mine"
    found = inspect(save_run(tmp_path, cell, layers=2), str(tmp_path / "text.txt"), effort=TINY)
    assert not found.not_measured
    assert all(finding.sentence.endswith(".") for finding in found.findings)


@pytest.mark.parametrize(("tokens", "context"), [("word", 8), ("byte", 8)])
def test_bytes_and_words_can_be_inspected(tokens, context, tmp_path):
    run = train_run(tmp_path, tokens=tokens, epochs=1, heldout=0.4)
    found = inspect(run, effort=replace(TINY, context=context))
    assert found.run["tokens_are"] == tokens
    assert found.passage["loss"] is not None


def test_another_text_is_read_with_its_unknown_tokens_counted(run, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text(made_text(6000).replace("cat", "ç@t"))
    found = inspect(run, str(other), effort=TINY)
    assert found.text["unknown"] > 0
    assert not found.text["own"]
    assert found.training is None


def test_a_short_text_leaves_out_what_needs_a_longer_one_and_says_so(run, tmp_path):
    other = tmp_path / "short.txt"
    other.write_text(made_text(200))
    found = inspect(run, str(other), effort=TINY)
    assert found.lag is not None
    assert found.lag.lags[-1] == TINY.lag
    assert set(found.not_measured) == {"horizon", "units"}
    assert "at least" in found.not_measured["horizon"]
    other.write_text("a cat")
    with pytest.raises(ShapeError, match=r"the text other|the text short.txt has 5 tokens: at least 64"):
        inspect(run, str(other), effort=TINY)


def test_a_text_of_another_script_is_refused(run, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("Привет, мир! " * 100)
    with pytest.raises(DataError, match="more than half"):
        inspect(run, str(other), effort=TINY)


def test_two_runs_are_inspected_on_one_text(run, tmp_path):
    second = train_run(tmp_path, "lstm", epochs=1)
    both = inspect_all([run, second], effort=TINY)
    assert [one.run["cell"] for one in both] == ["gru", "lstm"]
    assert both[0].run["name"] != both[1].run["name"]  # both folders are called run
    other = tmp_path / "b"
    third = train_run(other, seed=1, heldout=0.3, epochs=1)
    with pytest.raises(ArgumentError, match=r"held-out texts of .* are different. Name one TEXT for both"):
        inspect_all([run, third], effort=TINY)
    words = train_run(tmp_path / "words", tokens="word", epochs=1)
    with pytest.raises(ArgumentError, match=r"different ways \(--tokens char and word\)"):
        inspect_all([run, words], effort=TINY)


def test_the_runs_own_text_by_its_file_is_its_held_out_text(run, found):
    again = inspect(run, str(run.parent / "text.txt"), effort=TINY)
    assert again.text["own"]
    assert again.heldout.nats == found.heldout.nats


def test_a_part_of_the_training_text_is_recognised(run, tmp_path):
    part = tmp_path / "part.txt"
    part.write_text((run.parent / "text.txt").read_text()[1000:6000])
    found = inspect(run, str(part), effort=TINY)
    assert found.text["seen"]
    assert found.units is None
    assert "trained on this text" in found.not_measured["units"]
    assert found.horizon.orders is None
    assert "(part of the training text)" in found.findings[0].sentence


def test_a_text_that_repeats_one_line_leaves_out_the_units_alone(run, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("the cat sat on a mat.\n" * 300)
    found = inspect(run, str(other), effort=TINY)
    assert set(found.not_measured) == {"units"}


def test_a_negative_seed_is_refused(run):
    with pytest.raises(ArgumentError, match="`seed` must be an integer of at least 0, got -1"):
        inspect(run, effort=TINY, seed=-1)


def test_remedies_of_what_follows_from_saturation_are_left_out(found, run):
    from tidegate.insight.findings import find_all

    trained = tidegate.load(run)
    broken = replace(
        found, gates=replace(found.gates, saturated={"n_l0": np.full(12, 0.9)}),
        lag=replace(found.lag, horizon=1, beyond=False),
    )  # fmt: skip
    first, *rest = find_all(broken, trained)
    assert first.kind == "saturated"
    assert first.remedy
    assert not any(finding.remedy for finding in rest if finding.kind not in ("saturated", "dead"))


def test_bad_runs_and_spans_are_refused(run, tmp_path):
    with pytest.raises(CheckpointError, match="no run at"):
        inspect(tmp_path / "nothing")
    with pytest.raises(ArgumentError, match=r"`span` must be START:STOP"):
        inspect(run, effort=TINY, shown=(5, 10**9))


def test_weights_that_are_not_finite_are_refused(run, tmp_path):
    trained = tidegate.load(run)
    with torch.no_grad():
        trained.model.head.weight[0, 0] = math.nan
    from tidegate.insight import gates

    with pytest.raises(ArgumentError, match=r"head.weight|weight has values that are NaN"):
        gates(trained, np.zeros(9, np.int64))


def failures(found, trained):
    from tidegate.insight.findings import find_all

    return {finding.kind: finding for finding in find_all(found, trained) if finding.failure}


def test_each_failure_has_a_sentence_with_its_number_and_a_remedy(found, run):
    trained = tidegate.load(run)
    sane = replace(
        found, lag=replace(found.lag, horizon=18, gain=0.95), training=replace(found.training, nats=found.heldout.nats)
    )
    gates, lyapunov = found.gates, found.lyapunov
    planted = {
        "saturated": replace(sane, gates=replace(gates, saturated={"n_l0": np.full(12, 0.8)})),
        "dead": replace(sane, gates=replace(gates, dead={"h_l0": np.arange(3)})),
        "exploding": replace(sane, lag=replace(sane.lag, gain=1.2)),
        "gradient": replace(sane, lag=replace(sane.lag, horizon=4, beyond=False)),
        "chaotic": replace(sane, lyapunov=replace(
            lyapunov, exponents=lyapunov.exponents + 1, standard_error=np.full(3, 0.01)
        )),
        "learned": replace(sane, training=replace(sane.training, nats=0.3 * sane.heldout.nats)),
    }  # fmt: skip
    before = failures(sane, trained)
    for kind, one in planted.items():
        told = failures(one, trained)
        assert kind in told, kind
        assert kind not in before or kind == "learned", kind
        assert any(c.isdigit() for c in told[kind].sentence)
        assert told[kind].remedy
        assert told[kind].numbers


def test_remedies_are_options_that_the_cell_has(found, run):
    from tidegate.calculus import trace
    from tidegate.insight.findings import remembering

    assert "forget-bias" in remembering(trace(CELLS["lstm"]), 35)
    assert remembering(trace(CELLS["gru"]), 35) == "--init chrono:35."
    assert "gated cell" in remembering(trace(CELLS["rnn"]), 35)
