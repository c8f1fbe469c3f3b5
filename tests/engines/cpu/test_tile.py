"""The matrix product: against float64, bit by bit, and as assembly."""

import ctypes
import re

import numpy as np
import pytest

from tidegate.engines.cpu import kernels, runtime, target, tile
from tidegate.engines.cpu.vector import Code, fma


def function(name: str, arguments: str, real: str = "float"):
    library, _ = kernels.shared(kernels.here(), real)
    kinds = [ctypes.c_void_p if letter == "p" else ctypes.c_int64 for letter in arguments]
    return ctypes.CFUNCTYPE(None, *kinds)(library[f"tidegate_{real}_{name}"])


def multiply(x: np.ndarray, w: np.ndarray, c: np.ndarray | None = None) -> np.ndarray:
    """x (M, K) times w (N, K) transposed, plus c (N,), through the packing and the product."""
    real = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}[x.dtype]
    L = kernels.here().lanes(real)
    (M, K), N = x.shape, len(w)
    columns = -(-N // L)
    panel, out = (np.full(shape, np.nan, x.dtype) for shape in ((columns, K, L), (M, columns * L)))
    bias = None if c is None else np.pad(c, (0, columns * L - N))
    function("pack_transposed", "piiipiipi", real)(w.ctypes.data, K, N, K, panel.ctypes.data, K * L, L, None, 0)
    function("product", "piiipiiiippii", real)(
        x.ctypes.data, K, 1, M, panel.ctypes.data, K * L, L, columns, K,
        None if bias is None else bias.ctypes.data, out.ctypes.data, columns * L, 0,
    )  # fmt: skip
    return out[:, :N]


@pytest.mark.parametrize("real", [np.float32, np.float64])
def test_products_at_odd_sizes(real):
    random = np.random.default_rng(0)
    for M, K, N in [(1, 1, 1), (3, 5, 7), (7, 33, 50), (8, 16, 16), (13, 40, 64), (33, 100, 130), (9, 300, 35)]:
        x, w, c = (random.normal(size=shape).astype(real) for shape in ((M, K), (N, K), (N,)))
        expected = x.astype(float) @ w.astype(float).T + c
        error = np.linalg.norm(multiply(x, w, c) - expected) / np.linalg.norm(expected)
        assert error <= (1e-6 if real is np.float32 else 1e-14)


def test_an_element_has_the_same_bits_in_every_tile():
    random = np.random.default_rng(1)
    x, w = (random.normal(size=shape).astype(np.float32) for shape in ((40, 70), (200, 70)))
    whole = multiply(x, w)
    for rows in (1, 2, 3, 5, 7, 11, 29):
        assert np.array_equal(multiply(x[:rows].copy(), w), whole[:rows])
    assert np.array_equal(multiply(x, w[16:80].copy()), whole[:, 16:80])


def test_rows_are_scattered_in_order():
    random = np.random.default_rng(2)
    x, index = random.normal(size=(50, 37)).astype(np.float32), random.integers(4, size=50)
    to = np.zeros((4, 37), np.float32)
    function("scatter_rows", "piiippi")(x.ctypes.data, 37, 50, 37, index.ctypes.data, to.ctypes.data, 37)
    expected = np.zeros((4, 37), np.float32)
    for row, i in zip(x, index):
        expected[i] += row
    assert np.array_equal(to, expected)


def test_rows_are_scattered_to_columns_with_the_bits_of_a_transposed_target():
    random = np.random.default_rng(2)
    x, index = random.normal(size=(50, 37)).astype(np.float32), random.integers(4, size=50)
    rows, columns = np.zeros((4, 37), np.float32), np.zeros((37, 4), np.float32)
    function("scatter_rows", "piiippi")(x.ctypes.data, 37, 50, 37, index.ctypes.data, rows.ctypes.data, 37)
    function("scatter_columns", "piiippi")(x.ctypes.data, 37, 50, 37, index.ctypes.data, columns.ctypes.data, 4)
    assert np.array_equal(columns, rows.T)


def test_a_column_is_gathered_and_padded_with_zeros():
    random = np.random.default_rng(3)
    lanes = Code(target.host() or target.AVX2, "float").lanes
    w = random.normal(size=(lanes + 3, 7)).astype(np.float32)
    addend = random.normal(size=(2, lanes)).astype(np.float32)
    to = np.full((2, 2, lanes), np.nan, np.float32)
    gather = function("gather_column", "piipipi")
    gather(w[0, 5:].ctypes.data, 7, lanes + 3, to.ctypes.data, 2 * lanes, 0, 0)
    assert np.array_equal(to[:, 0].ravel(), np.pad(w[:, 5], (0, lanes - 3)))
    assert np.isnan(to[:, 1]).all()
    gather(w[0, 5:].ctypes.data, 7, lanes + 3, to.ctypes.data, 2 * lanes, addend.ctypes.data, lanes)
    assert np.array_equal(to[:, 0].ravel(), np.pad(w[:, 5], (0, lanes - 3)) + addend.ravel())


TARGETS = {"AVX-512": target.AVX512, "AVX2": target.AVX2, "NEON": target.NEON}
MULTIPLY_ADD = {"AVX-512": r"vfmadd\S+ps.*%zmm", "AVX2": r"vfmadd\S+ps.*%ymm", "NEON": r"fmla\s+v\d+\.4s"}
STACK = {"AVX-512": r"\(%rsp|\(%rbp|%rsp\)", "AVX2": r"\(%rsp|\(%rbp|%rsp\)", "NEON": r"\[sp|\[x29"}


@pytest.mark.parametrize("name", TARGETS)
def test_inner_loops_multiply_and_add_in_registers_only(name):
    code = Code(TARGETS[name], "float")
    rows = code.target.tile_rows
    for r in range(1, rows + 1):
        tile.tile(code, r, code.target.columns(r), fma)
    assembly = runtime.assembly(str(code.module).replace("define internal", "define"), code.target)
    loops = [loop for loop in inner_loops(assembly) if re.search(MULTIPLY_ADD[name], loop)]
    assert len(loops) == rows
    for loop in loops:
        assert not re.search(STACK[name], loop), loop


def inner_loops(assembly: str) -> list[str]:
    """Stretches from a label to a jump back to it, with no other label in between."""
    found, label, lines = [], None, []
    for line in assembly.splitlines():
        if (start := re.match(r"(\.LBB\d+_\d+):", line)) is not None:
            label, lines = start[1], []
        elif label:
            lines.append(line)
            if re.search(rf"\s(j\w+|b\.\w+|cb\w+|b)\s.*{re.escape(label)}\b", line):
                found.append("\n".join(lines))
    return found


def test_the_check_detects_a_spill():
    loop = ".LBB0_1:\n\tvmovups 64(%rsp), %zmm1\n\tvfmadd231ps %zmm1, %zmm2, %zmm3\n\tjl .LBB0_1\n"
    (found,) = inner_loops(loop)
    assert re.search(MULTIPLY_ADD["AVX-512"], found)
    assert re.search(STACK["AVX-512"], found)
