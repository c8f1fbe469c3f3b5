"""Differences of means and their errors, passages, blocks, and the choice of random units."""

import math

import numpy as np
import pytest
import torch
from tests.insight.planted import as_trained, random_model

from tidegate.errors import ShapeError
from tidegate.insight.reading import Reading, read
from tidegate.insight.subject import as_subject
from tidegate.insight.tracking.ablation import random_units
from tidegate.insight.tracking.block_error import contrast, student
from tidegate.insight.tracking.experiment import Experiment, blocks
from tidegate.insight.tracking.passages import WARMUP, cut
from tidegate.text import Vocabulary


def test_a_contrast_of_equal_blocks_is_that_of_the_means_of_blocks():
    generator = np.random.default_rng(0)
    block = np.repeat(np.arange(7), 10)
    on = np.tile([True] * 4 + [False] * 6, 7)
    values = generator.normal(size=70) + generator.normal(size=7)[block]
    found = contrast(values, on, block)
    means = np.array([[values[(block == b) & own].mean() for b in range(7)] for own in (on, ~on)])
    errors = means.std(1, ddof=1) / math.sqrt(7)
    np.testing.assert_allclose([found.on, found.off], means.mean(1), rtol=1e-12)
    np.testing.assert_allclose([found.on_error, found.off_error], errors, rtol=1e-12)
    difference = means[0] - means[1]
    assert found.error == pytest.approx(difference.std(ddof=1) / math.sqrt(7))
    assert found.high - found.difference == pytest.approx(2.4469 * found.error, rel=1e-3)
    assert found.difference - found.low == pytest.approx(found.high - found.difference)


def test_the_interval_covers_the_difference_in_95_of_100_cases():
    generator, inside = np.random.default_rng(1), 0
    for _ in range(400):
        block = np.repeat(np.arange(12), 20)
        on = generator.random(240) < 0.3
        values = 0.5 * on + generator.normal(size=12)[block] * (1 + on) + generator.normal(size=240)
        found = contrast(values, on, block)
        inside += found.low <= 0.5 <= found.high
    assert 360 <= inside <= 396


def test_a_feature_that_is_always_on_or_one_block_has_no_contrast():
    values, block = np.arange(6.0), np.repeat([0, 1], 3)
    assert math.isnan(contrast(values, np.ones(6, bool), block).difference)
    alone = contrast(values, values > 2, np.zeros(6, int))
    assert alone.difference == 3
    assert math.isnan(alone.low)


@pytest.mark.parametrize(("freedom", "confidence", "quantile"), [
    (1, 0.95, 12.7062), (2, 0.95, 4.30265), (3, 0.95, 3.18245), (4, 0.95, 2.77645), (10, 0.95, 2.22814),
    (30, 0.95, 2.04227), (3, 0.99, 5.84091), (8, 0.99, 3.35539), (5, 0.5, 0.72669), (40, 0.999, 3.55097),
])  # fmt: skip
def test_students_quantile_is_that_of_the_tables(freedom, confidence, quantile):
    assert student(freedom, confidence) == pytest.approx(quantile, rel=5e-6)


def test_students_quantile_of_many_degrees_is_that_of_the_normal_distribution():
    assert student(100_001) == pytest.approx(1.959964, rel=1e-4)


def test_a_difference_is_positive_if_its_interval_of_that_level_is():
    generator = np.random.default_rng(3)
    block = np.repeat(np.arange(9), 10)
    on = generator.random(90) < 0.5
    found = contrast(generator.normal(size=90) + 0.6 * on, on, block)
    assert found.positive(0.05) == (found.low > 0)
    edge = next(level for level in np.linspace(1e-4, 0.9, 9000) if found.positive(level))
    assert found.error * student(8, 1 - edge) == pytest.approx(found.difference, rel=0.02)
    assert not contrast(np.arange(4.0), np.array([0, 0, 1, 1]) > 0, np.zeros(4, int)).positive(0.5)


def reading(count):
    text = "".join(np.random.default_rng(0).choice(list("ab"), count))
    vocabulary = Vocabulary.build("ab")
    return read(as_subject(as_trained(random_model("gru", vocabulary), vocabulary)), text, "find")


@pytest.mark.parametrize(
    ("count", "positions", "most"), [(301, 9999, 32), (7000, 6400, 32), (7000, 600, 32), (9000, 9999, 8)]
)
def test_passages_share_no_token_and_have_their_warm_up_and_targets(count, positions, most):
    own = reading(count)
    found = cut(own, "find", positions=positions, most=most)
    at = found.counted
    assert len(np.unique(at)) == at.size
    assert found.length >= 200
    assert len(found) == max(1, min(most, min(positions, count - 101) // 200))
    assert at.min() == WARMUP
    assert at.max() < count - 1
    assert at.max() == count - 2 or len(found) == 1
    x, y = found.inputs(own), found.targets(own)
    assert torch.equal(x[1:], y[:-1])
    assert torch.equal(x[WARMUP:], own.ids[at.T])
    assert torch.equal(y[WARMUP:], own.ids[at.T + 1])


def test_a_text_that_is_too_short_for_a_passage_is_refused():
    with pytest.raises(ShapeError, match=r"`confirm` must have at least 301 tokens.*got 300"):
        cut(reading(300), "confirm", positions=10, most=2)


def experiment(text, tokens):
    own = Reading(text, torch.zeros(tokens, dtype=torch.int64), np.arange(tokens))
    passages = cut(own, "confirm", positions=1800, most=3)
    return Experiment(None, own, passages, *[np.empty(0)] * 4)  # type: ignore[arg-type]


def test_blocks_have_at_least_200_tokens_and_200_characters():
    found = blocks(experiment("a" * 2100, 2100))
    assert np.bincount(found).tolist() == [200] * 9
    found = blocks(experiment("é" * 1050, 2100))  # two bytes each
    assert np.bincount(found).tolist() == [600] * 3


def test_random_units_are_of_similar_variance_and_not_found_for_the_feature():
    variance = np.array([1.0, 5.0, 1.1, 0.9, 1e-9, 0.0, 1.3, 0.8])
    found = [(1, 0), (1, 2), (0, 3)]
    priority = np.array([3, 0, 1, 7, 4, 5, 6, 2])
    assert random_units(variance, priority, (1, 0), found, 2) == [(1, 1), (1, 7)]
    assert random_units(variance, priority, (1, 0), found, 1) == [(1, 7)]
    assert len(random_units(variance, priority, (1, 0), found, 20)) == 6
