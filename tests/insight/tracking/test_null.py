"""Correlations against NumPy's, and how often unrelated units are significant."""

import math

import numpy as np
import pytest

from tidegate.insight.tracking.null import (
    DONORS,
    SHIFTS,
    Donors,
    Shifts,
    derangement,
    holm,
    kind_of_null,
    null,
    p_values,
)

CASES = 40


def slow(generator, M, L, count, tau):
    """Stationary AR(1) sequences (M, L, count) with the time constant tau."""
    keep = math.exp(-1 / tau)
    x = generator.normal(size=(M, count))
    found = np.empty((M, L, count))
    for t in range(L):
        x = keep * x + math.sqrt(1 - keep**2) * generator.normal(size=x.shape)
        found[:, t] = x
    return found


@pytest.mark.parametrize("kind", [Donors, Shifts])
def test_r_is_pearsons_and_a_constant_unit_has_r_0(kind):
    generator = np.random.default_rng(1)
    x, y = slow(generator, 17, 23, 3, 5), slow(generator, 17, 23, 2, 9) > 0
    x[..., 2] = 0.7
    x[..., 1] = 100 + y[..., 0] - 0.01 * x[..., 1]
    found = kind(x, y, 10, generator).r
    expected = np.corrcoef(x[..., :2].reshape(-1, 2).T, y.reshape(-1, 2).T)[:2, 2:]
    np.testing.assert_allclose(found[:2], expected, atol=1e-6)
    assert (found[2] == 0).all()


def test_donors_are_the_labels_of_other_passages_on_these_states():
    generator = np.random.default_rng(2)
    x, y = slow(generator, 16, 21, 5, 4), slow(generator, 16, 21, 2, 7)
    own = Donors(x, y, 6, generator)
    counted = generator.random((5, 2)) < 0.6
    counted[0] = True
    for order, found in zip(own.orders, own.maxima(counted), strict=True):
        assert (order != np.arange(16)).all()
        r = np.corrcoef(x.reshape(-1, 5).T, y[order].reshape(-1, 2).T)[:5, 5:]
        np.testing.assert_allclose(found, np.where(counted, abs(r), 0).max(0), atol=1e-6)


def test_shifts_move_the_labels_in_a_circle():
    generator = np.random.default_rng(3)
    x, y = slow(generator, 1, 60, 4, 4), slow(generator, 1, 60, 2, 7)
    own = Shifts(x, y, 8, generator)
    for shift, found in zip(own.shifts, own.maxima(np.ones((4, 2), bool)), strict=True):
        assert 6 <= shift <= 54
        r = np.corrcoef(x[0].T, np.roll(y[0], shift, 0).T)[:4, 4:]
        np.testing.assert_allclose(found, abs(r).max(0), atol=1e-6)


def test_few_passages_are_shifted_and_15_have_donors():
    assert [kind_of_null(count) for count in (1, 14, 15, 32)] == [SHIFTS, SHIFTS, DONORS, DONORS]


def called(make, test):
    """In how many of 40 cases a unit is significant at the level 0.05."""
    return sum(
        test(*make(np.random.default_rng(seed)), np.random.default_rng(-seed - 1 + 2**32)) for seed in range(CASES)
    )


def by_null(x, y, generator):
    own = null(x, y, 199, generator)
    return p_values(own.r, own.maxima(np.ones_like(own.r, bool))).min() <= 0.05


def by_formula(x, y, generator):
    """Fisher's z of every unit, with Bonferroni's correction, as if positions were independent."""
    r = Shifts(x, y, 1, generator).r
    z = abs(np.arctanh(r)).max() * math.sqrt(x.shape[0] * x.shape[1] - 3)
    return math.erfc(z / math.sqrt(2)) * len(r) <= 0.05


def unrelated(passages, length):
    def make(generator):
        return slow(generator, passages, length, 16, 40), slow(generator, passages, length, 1, 40) > 0.5

    return make


def test_unrelated_units_are_significant_in_about_one_case_of_twenty():
    assert called(unrelated(16, 200), by_null) <= 6
    assert called(unrelated(1, 1600), by_null) <= 6


def test_the_usual_test_finds_unrelated_units_significant_in_nearly_every_case():
    assert called(unrelated(16, 200), by_formula) >= 30


def with_trend(passages):
    def make(generator):
        x, y = unrelated(passages, 1600 // passages)(generator)
        trend = np.linspace(-2, 2, x.shape[1])[None, :, None]
        return x + trend, y + trend

    return make


def test_a_trend_that_all_passages_share_is_significant_with_shifts_and_not_with_donors():
    assert called(with_trend(16), by_null) <= 6
    assert called(with_trend(1), by_null) >= 12


def test_a_related_unit_is_significant():
    def make(generator):
        x, y = unrelated(16, 200)(generator)
        x[..., 3] += 1.5 * y[..., 0]
        return x, y

    assert called(make, by_null) >= 38


def test_p_counts_the_cases_with_a_maximum_of_at_least_r():
    r, maxima = np.array([[0.5, -0.2], [0.1, 0.3]]), np.array([[0.4, 0.2], [0.5, 0.1], [0.2, 0.25]])
    np.testing.assert_allclose(p_values(r, maxima), [[2 / 4, 3 / 4], [4 / 4, 1 / 4]])


def test_holms_correction_is_that_of_his_example_and_keeps_the_order():
    found = holm(np.array([[0.01, 0.04, 0.03, 0.005], [0.02, 0.9, 0.5, 0.3]]))
    np.testing.assert_allclose(found[0], [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(found[1], [0.06, 0.9, 1.0, 1.0])


def test_a_derangement_moves_every_element():
    generator = np.random.default_rng(0)
    for count in (2, 3, 7):
        order = derangement(count, generator)
        assert sorted(order) == list(range(count))
        assert (order != np.arange(count)).all()
