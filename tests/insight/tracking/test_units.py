"""Planted units whose role is known, unrelated features, every cell, and what is reported of invalid arguments."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.insight.planted import ALPHABET, as_trained, bracket_text, hold, planted_model, random_model

from tidegate.errors import ArgumentError, ArgumentTypeError, ShapeError
from tidegate.insight import FEATURES, Units, units
from tidegate.insight.sentences.units import feature_sentence, nats, use
from tidegate.insight.tracking.block_error import Contrast
from tidegate.text import Vocabulary, tokenize

SMALL = {"positions": 6400, "donors": 200, "held": 3200}
BRACKETS = {"bracket depth": FEATURES["bracket depth"]}
A, B = bracket_text(7000, 1), bracket_text(7000, 2)


@pytest.fixture(scope="module")
def two_units():
    """The results for a model with a unit that the scores use, 5, and an equal one that they do not use, 11."""
    model, vocabulary = planted_model({5: 5.0, 11: 0.0})
    return units(as_trained(model, vocabulary), A, B, features=FEATURES, **SMALL)


def by_unit(found):
    return {unit.unit: unit for unit in found.units}


def test_a_planted_unit_that_the_model_uses_is_needed(two_units):
    found = two_units["bracket depth"]
    unit = by_unit(found)[5]
    assert found.verdict == "needed"
    assert unit.verdict == "needed"
    assert (unit.layer, unit.state) in {(0, "h"), (0, "c")}
    assert unit.r > 0.95
    assert unit.p <= 0.05
    assert unit.r_within > 0.9
    assert len(unit.total.others) == 20
    assert unit.total.extra.difference > 1 > 5 * unit.total.others.max()
    assert unit.direct.needed
    assert unit.resampled.low > 1


def test_an_equal_unit_that_the_scores_do_not_use_only_tracks(two_units):
    unit = by_unit(two_units["bracket depth"])[11]
    assert unit.confirmed
    assert unit.verdict == "tracks only"
    assert abs(unit.r - by_unit(two_units["bracket depth"])[5].r) < 1e-6
    assert unit.total.extra.difference == pytest.approx(0, abs=1e-6)
    assert unit.direct.extra.difference == pytest.approx(0, abs=1e-6)
    assert unit.resampled.difference == pytest.approx(0, abs=1e-6)


def test_a_planted_unit_is_not_found_for_other_features_and_absent_features_are_reported(two_units):
    for name in ("position in line", "word start"):
        assert 5 not in by_unit(two_units[name])
    for name in ("inside quotes", "digit", "capital", "indentation"):
        assert not two_units[name].occurs
        assert two_units[name].verdict == "none found"
    assert two_units["word start"].determined
    assert two_units["bracket depth"].determined is False


def test_the_network_before_training_has_no_such_unit(two_units):
    assert two_units["bracket depth"].untrained < 0.9 < by_unit(two_units["bracket depth"])[5].r


def test_results_are_json_and_sentences_with_their_numbers(two_units):
    saved = json.loads(json.dumps(two_units.as_dict()))
    assert [own["feature"] for own in saved["features"]] == list(FEATURES)
    assert {unit["unit"]: unit["verdict"] for unit in saved["features"][2]["units"]}.items() >= {
        5: "needed",
        11: "tracks only",
    }.items()
    words = str(two_units)
    unit = by_unit(two_units["bracket depth"])[5]
    assert f"Unit 5 of layer 0 ({unit.state}) tracks “bracket depth”" in words
    for number in (f"r = {unit.r:.2f}", f"{unit.total.extra.on:.3f} ±", "at most 0.006."):
        assert number in words
    assert (
        "Not tested, because it does not vary in both texts: “inside quotes”, “digit”, “capital”, “indentation”."
        in words
    )
    axes = two_units.plot()
    assert len(axes.get_yticks()) == sum(unit.total is not None for own in two_units.features for unit in own.units)


def test_a_unit_is_not_needed_if_a_random_unit_has_a_larger_effect():
    model, vocabulary = planted_model({5: 2.0, 11: 3.5})
    layer = model.recurrent
    with torch.no_grad():  # the stronger unit follows the feature less exactly, so that it is not found
        layer.gate_parameters("f")["weight_ih_l0"][11, vocabulary.encode("d").item()] = -19.0
    found = units(as_trained(model, vocabulary), A, B, features=BRACKETS, top=1, controls=25, **SMALL)["bracket depth"]
    (unit,) = found.units
    assert unit.unit == 5
    assert unit.total.extra.low > 0.1
    assert unit.total.others.max() > unit.total.extra.difference
    assert unit.verdict == found.verdict == "tracks only"


def test_a_unit_is_not_needed_if_its_effect_may_be_0():
    model, vocabulary = planted_model({5: 0.0})
    c, d = vocabulary.encode("cd").tolist()
    with torch.no_grad():  # only unit 5 is used, for tokens that the brackets do not affect
        model.head.weight.zero_()
        model.head.weight[c, 5], model.head.weight[d, 5] = 0.1, -0.1
    (unit,) = units(as_trained(model, vocabulary), A, B, features=BRACKETS, top=1, **SMALL)["bracket depth"].units
    assert unit.total.extra.difference > unit.total.others.max() == 0
    assert unit.total.extra.low < 0
    assert unit.verdict == "tracks only"


def test_two_units_of_which_each_suffices_have_synergy():
    model, vocabulary = planted_model({5: 2.5, 11: 2.5})
    found = units(as_trained(model, vocabulary), A, B, features=BRACKETS, **SMALL)["bracket depth"]
    pair = next(pair for pair in found.pairs if {pair.first[1], pair.second[1]} == {5, 11})
    alone = sum(by_unit(found)[unit].total.extra.difference for unit in (5, 11))
    assert pair.synergy == pytest.approx(pair.both.difference - alone)
    assert pair.synergy > 0.4
    assert alone > 0.4


def test_a_position_counter_is_needed_for_line_ends_and_not_found_for_brackets():
    model, vocabulary = planted_model({})
    end = vocabulary.encode("\n").item()
    hold(model.recurrent, 7, clears=end, step=0.02)
    with torch.no_grad():
        model.head.weight[:, 7] = 0
        model.head.weight[end, 7], model.head.bias[end] = 20.0, -13.0
    found = units(as_trained(model, vocabulary), A, B, **SMALL)
    unit = by_unit(found["position in line"])[7]
    assert unit.r > 0.95
    assert unit.verdict == "needed"
    assert 7 not in by_unit(found["bracket depth"])


def test_a_unit_that_only_responds_to_the_bracket_is_not_confirmed_for_bracket_depth():
    model, vocabulary = planted_model({})
    opening = vocabulary.encode("(").item()
    hold(model.recurrent, 7, writes=opening, clears=opening)
    layer = model.recurrent
    with torch.no_grad():
        for parameter in (layer.weight_ih_l0, layer.bias_ih_l0, layer.bias_hh_l0, layer.weight_hh_l0):
            parameter.copy_(torch.where(parameter.abs() > 10, parameter, 0))  # the other units are constant
        layer.gate_parameters("f")["bias_ih_l0"][7] = -20.0
        layer.gate_parameters("f")["weight_ih_l0"][7] = 0.0
    found = units(as_trained(model, vocabulary), A, B, features=BRACKETS, **SMALL)["bracket depth"]
    unit = by_unit(found)[7]
    assert unit.p <= 0.05
    assert abs(unit.r_within) < 0.02
    assert unit.verdict == "not confirmed"
    assert found.verdict == "not confirmed"


def label(seed):
    """A feature without relation to the text: on and off for about 30 characters each."""
    return lambda text: np.cumsum(np.random.default_rng([seed, len(text)]).random(len(text)) < 1 / 30) % 2


def test_unrelated_features_have_no_confirmed_unit_in_nearly_all_cases():
    vocabulary = Vocabulary.build(ALPHABET)
    trained = as_trained(random_model("gru", vocabulary, 12, scale=3.0), vocabulary)
    features = {str(seed): label(seed) for seed in range(40)}
    found = units(trained, A, B[:-1], features=features, positions=4000, donors=1, controls=3, held=1600)
    assert sum(bool(own.units) for own in found.features) <= 2
    assert not [own.feature for own in found.features if own.verdict in ("needed", "tracks only")]
    assert found.cases == 1600


def test_every_cell_and_two_layers_have_results(cell):
    vocabulary = Vocabulary.build(ALPHABET)
    model = random_model(cell, vocabulary, H=6, layers=2, scale=2.0)
    found = units(as_trained(model, vocabulary), A, B, positions=3200, donors=50, controls=3, held=1600)
    assert isinstance(found, Units)
    assert (found.layers, found.hidden) == (2, 6)
    assert found.cell == model.step.name
    tracked = [unit for own in found.features for unit in own.units if unit.confirmed]
    assert tracked or cell.startswith("residual")  # whose random states grow with time
    for unit in tracked:
        assert unit.state in model.step.state
        assert unit.total is not None
        assert math.isfinite(unit.total.extra.difference)
        assert (unit.direct is None) == (unit.layer == 0)
        assert 0 < len(unit.total.others) <= 3


def test_a_layer_with_few_units_has_fewer_random_ones_and_a_note():
    vocabulary = Vocabulary.build(ALPHABET)
    model = random_model("gru", vocabulary, H=6, scale=2.0)
    found = units(as_trained(model, vocabulary), A, B, positions=3200, donors=50, held=1600)
    fewest = min(len(unit.total.others) for own in found.features for unit in own.units if unit.total)
    assert 0 < fewest < 6
    assert any(f"with {fewest} random ones instead of 20" in note for note in found.notes)


def test_few_blocks_have_a_note():
    vocabulary = Vocabulary.build(ALPHABET)
    trained = as_trained(random_model("gru", vocabulary), vocabulary)
    found = units(trained, A, B, positions=3200, donors=50, controls=2, held=1000)
    assert any("from 5 blocks" in note for note in found.notes)


def test_a_large_vocabulary_is_scored_at_every_third_token(monkeypatch):
    model, vocabulary = planted_model({5: 5.0})
    monkeypatch.setattr("tidegate.insight.tracking.experiment.SCORES", 22 * len(vocabulary) // 3 + 1)
    found = units(as_trained(model, vocabulary), A, B, features=BRACKETS, top=1, **SMALL)
    assert found.positions_held == 1072  # of 8 passages of 400 tokens
    assert (
        f"Effects are measured at one token in 3, because the scores of {len(vocabulary)} tokens take long to compute."
        in found.notes
    )
    assert found["bracket depth"].verdict == "needed"


def test_a_large_network_is_measured_at_fewer_positions(monkeypatch):
    vocabulary = Vocabulary.build(ALPHABET)
    trained = as_trained(random_model("lstm", vocabulary), vocabulary)
    monkeypatch.setattr("tidegate.insight.tracking.sample.MEMORY", 3300 * 14 * 4)
    found = units(trained, A, B, features=BRACKETS, **SMALL)
    assert 3200 <= found.positions_find == found.positions_confirm <= 3300


def test_the_seed_determines_the_result_and_the_model_is_not_changed():
    vocabulary = Vocabulary.build(ALPHABET)
    trained = as_trained(random_model("gru", vocabulary, H=6, scale=2.0), vocabulary)
    before = {name: value.clone() for name, value in trained.model.state_dict().items()}
    options = {"positions": 3200, "donors": 50, "controls": 2, "held": 1600}
    first, second, third = (units(trained, A, B, seed=seed, **options).as_dict() for seed in (1, 1, 2))
    assert first == second != third
    for name, value in trained.model.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_short_text_is_tested_by_shifts_with_a_note():
    model, vocabulary = planted_model({5: 5.0})
    found = units(as_trained(model, vocabulary), A[:2500], B, features=BRACKETS, **SMALL)
    assert (found.null_find, found.null_confirm) == ("circular shifts", "donors")
    assert any("`find` is too short" in note and "circular shifts" in note for note in found.notes)
    assert "circular shifts" in str(found)
    assert by_unit(found["bracket depth"])[5].verdict == "needed"


@pytest.mark.parametrize("kind", ["byte", "word"])
def test_words_and_bytes_have_results(kind):
    texts = [text.replace("(", " (é ").replace("a", "a ") for text in (A, B)]
    vocabulary = Vocabulary.build(tokenize("".join(texts), kind), kind)
    trained = as_trained(random_model("gru", vocabulary, H=9, scale=3.0), vocabulary)
    found = units(trained, *texts, positions=4000, donors=50, controls=3, held=1600)
    assert found["word start"].occurs
    assert any(unit.confirmed for own in found.features for unit in own.units)


def test_the_sentence_of_a_feature_says_what_is_not_known(two_units):
    own = two_units["bracket depth"]
    unit = by_unit(own)[5]
    assert "between positions with the same previous and current token r = 1.00" in feature_sentence(own, "token")
    assert "above its median" not in feature_sentence(own, "token")
    assert "above its median" in feature_sentence(replace(own, numeric=True), "token")
    assert "determine the feature" in feature_sentence(replace(own, determined=True), "token")
    assert "too few positions" in feature_sentence(replace(own, determined=None), "token")
    unknown = replace(unit, total=replace(unit.total, extra=Contrast(*[math.nan] * 8, blocks=9)))
    assert "cannot be decided" in use(own, unknown, "token")
    alone = replace(unit, total=replace(unit.total, others=np.empty(0)))
    assert "no other unit" in use(own, alone, "token")
    rejected = replace(own, units=(replace(unit, confirmed=False),), verdict="not confirmed")
    assert "not confirmed on the second: r = 1.00" in feature_sentence(rejected, "token")
    assert "No unit is correlated with “bracket depth”" in feature_sentence(
        replace(own, units=(), verdict="none found"), "token"
    )
    assert feature_sentence(two_units["digit"], "token") == "“digit” does not vary in both texts."


@pytest.mark.parametrize(("value", "error", "words"), [
    (0.5432, 0.0809, "0.543 ± 0.081"), (-3.21e-5, 2.6e-6, "-0.0000321 ± 0.0000026"), (12.34, 2.1, "12.3 ± 2.1"),
    (123.4, 21.0, "123 ± 21"), (0.5, math.nan, "0.500 ± nan"), (0.0, 0.0, "0.000 ± 0.000"),
])  # fmt: skip
def test_numbers_have_two_digits_of_their_error(value, error, words):
    assert nats(value, error) == words


def test_a_feature_that_was_not_tested_is_reported(two_units):
    with pytest.raises(ArgumentError, match=r"`feature` must be one of position in line, .*got 'rhyme'"):
        two_units["rhyme"]


@pytest.mark.parametrize(("change", "error", "words"), [
    ({"confirm": A}, ArgumentError, "`confirm` must be another text than `find`"),
    ({"find": "ab" * 100}, ShapeError, "`find` must have at least 301 tokens.*got 200"),
    ({"positions": 0}, ArgumentError, "`positions` must be an integer of at least 1, got 0"),
    ({"pairs": -1}, ArgumentError, "`pairs` must be an integer of at least 0"),
    ({"donors": 1.5}, ArgumentError, "`donors` must be an integer"),
    ({"features": {}}, ArgumentTypeError, "`features`"),
])  # fmt: skip
def test_invalid_arguments_are_named(change, error, words):
    vocabulary = Vocabulary.build(ALPHABET)
    trained = as_trained(random_model("gru", vocabulary), vocabulary)
    with pytest.raises(error, match=words):
        units(**{"model": trained, "find": A, "confirm": B, **SMALL, **change})


def test_weights_that_are_nan_and_models_without_vocabulary_are_reported():
    vocabulary = Vocabulary.build(ALPHABET)
    model = random_model("gru", vocabulary)
    with pytest.raises(ArgumentTypeError, match="must have a vocabulary"):
        units(model, A, B)
    with torch.no_grad():
        model.recurrent.weight_hh_l0[2, 1] = math.nan
    with pytest.raises(ArgumentError, match="weight_hh_l0 has values that are NaN"):
        units(as_trained(model, vocabulary), A, B)


def test_a_unit_whose_correlation_changes_its_sign_is_not_confirmed():
    model, vocabulary = planted_model({5: 5.0})
    depth = FEATURES["bracket depth"]
    features = {"flips": lambda text: depth(text) if text == A else 1 - depth(text)}
    found = units(as_trained(model, vocabulary), A, B, features=features, **SMALL)["flips"]
    unit = by_unit(found)[5]
    assert unit.r_find > 0.9
    assert unit.r < -0.9
    assert unit.p <= 0.05
    assert unit.verdict == "not confirmed"
