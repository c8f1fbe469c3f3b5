"""Horizons of curves that are given."""

import numpy as np
import pytest

from tidegate.insight.memory.threshold import horizon

LENGTHS = np.array([1, 2, 3, 4, 6, 8, 12, 16])


def found(delta, error, eps=0.01):
    return horizon("zero", LENGTHS, np.array(delta), np.broadcast_to(error, len(LENGTHS)), 2.0, eps)


def test_the_horizon_is_the_least_length_from_which_on_the_upper_bound_stays_below_the_limit():
    result = found([1, 0.5, 0.009, 0.02, 0.011, 0.008, 0.002, 0], 0.0015)
    assert (result.low, result.estimate, result.tokens, result.reason) == (6, 8, 12, "")


def test_a_small_value_before_a_large_one_is_no_horizon():
    assert found([0, 0, 0, 0.5, 0, 0, 0, 0], 0).tokens == 6


def test_a_curve_below_the_limit_everywhere_has_the_shortest_horizon():
    assert found([0] * 8, 0).tokens == 1


def test_a_curve_that_does_not_come_below_the_limit_is_longer_than_measured():
    result = found([1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3], 0.005)
    assert (result.low, result.estimate, result.tokens, result.reason) == (None, None, None, "longer")


@pytest.mark.parametrize(("last", "error"), [(0.3, 0.0051), (0.0, 0.0051), (0.004, 0.0049)])
def test_with_a_large_standard_error_the_result_is_cannot_tell(last, error):
    result = found([1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, last], error)
    assert (result.tokens, result.reason) == (None, "cannot tell")


def test_noise_beyond_the_memory_leaves_the_horizon_in_nearly_all_cases():
    random = np.random.default_rng(5)
    curves = np.where(LENGTHS < 6, 0.5, 0) + 0.0015 * random.normal(size=(200, len(LENGTHS)))
    assert np.mean([found(curve, 0.0015).tokens == 6 for curve in curves]) > 0.95
