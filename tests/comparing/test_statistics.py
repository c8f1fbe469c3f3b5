"""The statistics, against closed forms, enumeration, and simulated comparisons."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from tidegate.comparing.statistics import (
    detectable,
    holm,
    mean_interval,
    minimum_seeds,
    quartiles,
    sign_flip,
    wilson,
)

DRAWN = np.random.default_rng(3).normal(0.4, 1.0, (5, 9))


@pytest.mark.parametrize("differences", DRAWN)
def test_the_sign_flip_test_counts_the_signs_that_give_a_mean_as_large(differences):
    seen = abs(differences.mean())
    means = [np.mean(differences * signs) for signs in itertools.product((1, -1), repeat=9)]
    assert sign_flip(differences) == pytest.approx(np.mean([abs(m) >= seen - 1e-12 for m in means]))


@pytest.mark.parametrize("n", range(2, 13))
def test_the_smallest_p_value_is_two_in_two_to_the_n(n):
    assert sign_flip(np.arange(1.0, n + 1)) == 2 / 2**n


def test_five_seeds_can_never_be_significant_and_six_can():
    assert sign_flip(np.full(5, 1.0)) > 0.05 > sign_flip(np.full(6, 1.0))


@pytest.mark.parametrize(("pairs", "seeds"), [(1, 6), (3, 7), (10, 9), (25, 10), (26, 11)])
def test_the_least_number_of_seeds_is_the_first_whose_smallest_p_value_passes(pairs, seeds):
    assert minimum_seeds(pairs) == seeds
    assert 2 / 2**seeds <= 0.05 / pairs < 2 / 2 ** (seeds - 1)


def test_equal_scores_and_a_single_seed_have_the_p_value_one():
    assert sign_flip(np.zeros(8)) == sign_flip(np.array([3.0])) == 1


def test_many_seeds_are_tested_with_drawn_signs_and_the_same_result_each_time():
    differences = np.random.default_rng(0).normal(0.5, 1.0, 20)
    assert sign_flip(differences) == sign_flip(differences)
    assert sign_flip(differences) == pytest.approx(ttest_1samp(differences, 0).pvalue, abs=0.02)


@pytest.mark.parametrize("level", [0.05, 0.01])
def test_the_interval_is_that_of_students_t(level):
    expected = ttest_1samp(DRAWN[0], 0).confidence_interval(1 - level)
    assert mean_interval(DRAWN[0], level) == pytest.approx((expected.low, expected.high))


def test_the_interval_of_equal_differences_is_a_point_and_of_one_is_everything():
    assert mean_interval(np.full(7, 0.25), 0.05) == (0.25, 0.25)
    assert mean_interval(np.array([0.25]), 0.05) == (-math.inf, math.inf)


def test_holms_levels_and_adjusted_values_are_those_of_a_worked_example():
    # Smallest first: 0.01 <= 0.05/4 is rejected, 0.02 <= 0.05/3 is not, and nothing after it.
    adjusted, levels = holm([0.04, 0.01, 0.02, 0.5])
    assert adjusted == pytest.approx([0.08, 0.04, 0.06, 0.5])
    assert levels == pytest.approx([0.05 / 3, 0.05 / 4, 0.05 / 3, 0.05 / 3])
    assert holm([]) == ([], [])


def test_wilsons_limits_are_those_of_the_formula():
    z, p, n = 1.959964, 0.7, 10
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert wilson(7, 10) == pytest.approx((centre - half, centre + half), abs=1e-6)
    assert wilson(10, 10) == pytest.approx((0.722, 1.0), abs=1e-3)


def test_a_detectable_difference_is_detected_in_80_percent_of_simulated_t_tests():
    random = np.random.default_rng(1)
    differences = np.array([-1.0, 1.0] * 5) * math.sqrt(0.9)  # standard deviation 1
    delta = detectable(differences, 0.05)
    found = ttest_1samp(random.normal(delta, 1.0, (4000, 10)), 0, axis=1).pvalue <= 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.025)


def test_quartiles_are_in_order():
    assert quartiles([4.0, 1.0, 2.0, 3.0, 5.0]) == (2.0, 3.0, 4.0)
