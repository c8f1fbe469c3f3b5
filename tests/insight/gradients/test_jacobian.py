"""Step Jacobians and long products against NumPy on the dense matrices."""

import numpy as np
import torch
from tests.insight.small import make_layer

from tidegate.insight import jacobians
from tidegate.insight.gradients.linear import linearise
from tidegate.insight.recording import record
from tidegate.insight.subject import as_subject


def test_figures_are_those_of_the_dense_matrices(cell):
    layer = make_layer(cell, scale=2.0)
    x = torch.randn(30, 2, 3, dtype=torch.float64)
    found = jacobians(layer, x, steps=5, longest=12, keep=True)
    system = linearise(record(as_subject(layer), x))
    assert found.matrices is not None
    assert len(found.at) == 5
    for i, (t, b) in enumerate(found.at):
        J = system.dense(t, b)
        np.testing.assert_array_equal(found.matrices[i], J)
        sigma = np.linalg.svd(J)[1]
        np.testing.assert_allclose([found.sigma_max[i], found.sigma_min[i]], sigma[[0, -1]], atol=1e-12)
        np.testing.assert_allclose(found.spectral_radius[i], np.abs(np.linalg.eigvals(J)).max())
        P = np.eye(system.size)
        for k in range(1, 13):
            P = P @ system.dense(t - k + 1, b)
            if k in found.lags:
                expected = np.log10(np.linalg.norm(P, 2)) if P.any() else -np.inf
                np.testing.assert_allclose(found.log10_product[i][list(found.lags).index(k)], expected, rtol=1e-9)


def test_long_products_do_not_underflow_and_singular_values_are_not_multiplied():
    layer = make_layer("lstm", D=8, H=16, scale=0.7)
    x = torch.randn(600, 1, 8, dtype=torch.float64)
    found = jacobians(layer, x, steps=2, longest=512)
    last = found.log10_product[:, -1]
    assert np.isfinite(last).all()
    assert (last < -40).all()
    assert (last < 512 * np.log10(found.sigma_max) - 1).all()


def test_lags_end_where_the_sequence_does():
    found = jacobians(make_layer("gru"), torch.randn(10, 1, 3, dtype=torch.float64), steps=3, longest=128)
    assert found.lags.tolist() == [1, 2, 4, 8, 10]
