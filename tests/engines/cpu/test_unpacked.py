"""The product with weights that are not packed: the bits of the packed product, and no access beyond its operands."""

import numpy as np
import pytest
import torch
from tests.engines.cpu.memory import before_a_protected_page, poisoned
from tests.engines.cpu.test_tile import function, multiply

import tidegate
from tidegate.cells import CELLS
from tidegate.engines.cpu import kernels, launch_plan

REALS = {np.float32: "float", np.float64: "double"}
SIZES = [
    (1, 1, 1),
    (3, 5, 7),
    (2, 33, 50),
    (8, 16, 16),
    (13, 40, 64),
    (16, 64, 130),
    (7, 17, 1),
    (5, 300, 35),
    (35, 21, 33),
]


def fenced(values: np.ndarray) -> np.ndarray:
    """A copy that is followed by a page that cannot be read."""
    memory = before_a_protected_page(values.nbytes, values.itemsize).view(values.dtype).reshape(values.shape)
    memory[:] = values
    return memory


def unpacked(x: np.ndarray, w: np.ndarray, c: np.ndarray | None) -> np.ndarray:
    """x (M, K) times w (N, K) transposed, plus c (N,), with the lanes beyond N."""
    real = REALS[x.dtype.type]
    L, (M, K), N = kernels.here().lanes(real), x.shape, len(w)
    columns = -(-N // L) * L
    out = fenced(np.full((M, columns), np.nan, x.dtype))
    function("unpacked_product", "piipiiippii", real)(
        x.ctypes.data, K, M, w.ctypes.data, K, N, K, None if c is None else c.ctypes.data, out.ctypes.data, columns, L
    )
    return out


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("bias", [False, True])
def test_it_has_the_bits_of_the_packed_product_and_zeros_beyond_the_units(real, bias):
    random = np.random.default_rng(0)
    for M, K, N in SIZES:
        x, w, c = (fenced(random.normal(size=shape).astype(real)) for shape in ((M, K), (N, K), (N,)))
        out = unpacked(x, w, c if bias else None)
        assert np.array_equal(out[:, :N], multiply(x, w, c if bias else None))
        assert not out[:, N:].any()
        expected = x.astype(float) @ w.astype(float).T + (c if bias else 0.0)
        assert np.linalg.norm(out[:, :N] - expected) <= (1e-6 if real is np.float32 else 1e-14) * np.linalg.norm(
            expected
        )


def test_numbers_that_are_not_finite_reach_only_their_own_elements():
    """Beyond the last step of k and the last unit, numbers are read twice: their products must have no effect."""
    random = np.random.default_rng(1)
    for M, K, N in SIZES:
        x, w = (random.normal(size=shape).astype(np.float32) for shape in ((M, K), (N, K)))
        x[-1, -1], w[-1, -1] = np.inf, np.nan
        with np.errstate(invalid="ignore"):
            expected = x.astype(float) @ w.astype(float).T
        out = unpacked(x, w, None)
        assert np.array_equal(np.isnan(out[:, :N]), np.isnan(expected))
        assert np.array_equal(np.isinf(out[:, :N]), np.isinf(expected))
        assert not out[:, N:].any()


def test_groups_of_units_can_be_apart():
    """As the recurrent product writes them, the groups of each gate in turn."""
    random = np.random.default_rng(2)
    L = kernels.here().lanes("float")
    x, w = (random.normal(size=shape).astype(np.float32) for shape in ((5, 30), (2 * L + 3, 30)))
    out = np.full((5, 3, 4, L), np.nan, np.float32)
    function("unpacked_product", "piipiiippii")(
        x.ctypes.data, 30, 5, w.ctypes.data, 30, len(w), 30, None, out.ctypes.data, 12 * L, 4 * L
    )
    assert np.array_equal(out[:, :, 0].reshape(5, 3 * L)[:, : len(w)], multiply(x, w))
    assert np.isnan(out[:, :, 1:]).all()


@pytest.fixture
def unpacked_up_to(monkeypatch):
    """Sets how many times a pass may read weights that are not packed."""

    def choose(uses: int) -> None:
        monkeypatch.setattr(launch_plan, "FEW_USES", uses)
        launch_plan.forward_launch.cache_clear()
        launch_plan.backward_launch.cache_clear()

    yield choose
    monkeypatch.undo()
    choose(launch_plan.FEW_USES)


@pytest.mark.parametrize("cell", CELLS.values(), ids=lambda cell: cell.__name__)
def test_both_passes_have_the_bits_of_packed_weights(cell, unpacked_up_to):
    for D, units in ((16, 32), (5, 32), (16, 7), (64, 16)):
        for T, B in ((1, 1), (2, 3), (1, 16)):
            layer = tidegate.Recurrent(cell, D, units, bidirectional=True)
            x, d = torch.randn(T, B, D, requires_grad=True), torch.randn(T, B, 2 * units)
            found = []
            for uses in (2, 0):
                unpacked_up_to(uses)
                with poisoned():
                    y, _ = layer(x)
                    found.append([y, *torch.autograd.grad((y * d).sum(), [x, *layer.parameters()])])
            assert all(map(torch.equal, *found))
