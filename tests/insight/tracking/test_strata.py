"""Strata against a loop over all positions."""

import numpy as np

from tidegate.insight.tracking.strata import share_within, strata, within


def tokens():
    generator = np.random.default_rng(5)
    return generator.integers(0, 4, (3, 40)), generator.integers(0, 4, (3, 40)), generator.normal(size=(3, 40, 2))


def test_positions_are_centred_by_their_two_tokens():
    previous, current, values = tokens()
    number, found = strata(previous, current), within(values, strata(previous, current))
    for at in np.ndindex(previous.shape):
        same = (previous == previous[at]) & (current == current[at])
        if same.sum() < 10:
            assert number[at] == -1
            assert (found[at] == 0).all()
        else:
            assert ((number == number[at]) == same).all()
            np.testing.assert_allclose(found[at], values[at] - values[same].mean(0), atol=1e-12)
    assert (number == -1).any()
    assert (number >= 0).any()


def test_a_feature_of_the_two_tokens_has_no_variance_within_strata_and_noise_keeps_nearly_all():
    previous, current, values = tokens()
    number = strata(previous, current)
    features = np.stack([(previous == 1) & (current > 1), values[..., 0], np.ones(previous.shape)], -1)
    share = share_within(features, number)
    assert share[0] < 1e-12
    assert 0.7 < share[1] <= 1
    assert np.isnan(share[2])


def test_tokens_that_are_too_rare_have_no_share():
    rare = np.arange(12).reshape(2, 6)
    assert (strata(rare, rare) == -1).all()
    assert np.isnan(share_within(np.random.default_rng(0).normal(size=(2, 6, 1)), strata(rare, rare))).all()
