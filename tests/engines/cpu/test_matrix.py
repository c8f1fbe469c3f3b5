"""The matrix unit: terms that sum to their number, products near float64, whole calls with and without it."""

import ctypes
import platform
import sys
from dataclasses import replace

import llvmlite.binding as llvm
import numpy as np
import pytest
import torch
from tests.engines.cpu.calls import EVERY, KINDS, ODD, errors, make_call, run, same_bits
from tests.engines.cpu.test_tile import function, inner_loops

from tidegate.calculus import trace
from tidegate.engines import cpu
from tidegate.engines.cpu import abi, kernels, launch_plan, matrix, runtime, target, tile
from tidegate.engines.cpu.vector import Code

needs_unit = pytest.mark.skipif(not getattr(target.host(), "matrix", False), reason="needs a processor with AMX")


def forget_launch_plans() -> None:
    launch_plan.forward_launch.cache_clear()
    launch_plan.backward_launch.cache_clear()


@pytest.fixture
def everywhere(monkeypatch, poisoned):
    """Every float32 call on the matrix unit, however small."""
    for name in ("MATRIX_UNITS", "MATRIX_INPUTS", "MATRIX_BATCH", "MATRIX_ROWS"):
        monkeypatch.setattr(launch_plan, name, 1)
    forget_launch_plans()
    yield
    forget_launch_plans()


def split(x: np.ndarray) -> np.ndarray:
    """The three terms of a row of numbers, (3, K)."""
    blocks = -(-len(x) // 32)
    rows = np.full((blocks, 3, 32), 0x7FFF, np.uint16)
    function("split_rows", "piiipiii")(x.ctypes.data, len(x), 1, len(x), rows.ctypes.data, 0, 0, -(-len(x) // 16))
    terms = (rows.astype(np.uint32) << 16).view(np.float32)
    assert not terms.transpose(1, 0, 2).reshape(3, -1)[:, len(x) :].any()
    return terms.transpose(1, 0, 2).reshape(3, -1)[:, : len(x)]


@needs_unit
def test_three_parts_add_up_to_the_number_exactly():
    random = np.random.default_rng(0)
    x = (random.normal(size=5003) * 10.0 ** random.integers(-30, 37, size=5003)).astype(np.float32)
    terms = split(x)
    assert np.array_equal(terms.astype(np.float64).sum(0), x.astype(np.float64))
    assert (np.abs(terms[1]) <= 2.0**-8 * np.abs(x)).all()
    assert (np.abs(terms[2]) <= 2.0**-16 * np.abs(x)).all()


@needs_unit
def test_infinity_has_zero_remainders_and_nan_stays_nan():
    odd = np.array([0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001], np.uint32).view(np.float32)
    assert np.isnan(split(odd)).any(0).all()
    terms = split(np.array([np.inf, -np.inf, np.nan, np.nan, 0.0, -0.0], np.float32))
    assert np.array_equal(terms[:, :2], [[np.inf, -np.inf], [0, 0], [0, 0]])
    assert np.isnan(terms[:, 2]).any()
    assert np.isfinite(terms[:, 4:]).all()


def multiply(x: np.ndarray, w: np.ndarray, c: np.ndarray | None = None) -> np.ndarray:
    """x (M, K) times w (N, K) transposed, plus c (N,), 32 rows at a time."""
    (M, K), N = x.shape, len(w)
    groups, blocks = -(-N // 16), -(-K // 32)
    panel = np.full((groups, blocks, 768), np.nan, np.float32)
    rows, out = np.full((M, blocks, 48), np.nan, np.float32), np.full((M, groups * 16), np.nan, np.float32)
    bias = None if c is None else np.pad(c, (0, groups * 16 - N))
    function("pack_right", "piiipi")(w.ctypes.data, K, N, K, panel.ctypes.data, blocks * 768)
    function("split_rows", "piiipiii")(x.ctypes.data, K, M, K, rows.ctypes.data, blocks * 48, 0, -(-K // 16))
    for at in range(0, M, 32):
        count = min(32, M - at)
        tall = count if count <= 16 else (count + 1) // 2
        function("matrix_product", "piiiiipiiipipi")(
            rows[at:].ctypes.data, blocks * 48, tall * blocks * 48, 48, count, tall,
            panel.ctypes.data, blocks * 768, groups, blocks,
            None if bias is None else bias.ctypes.data, 0, out[at:].ctypes.data, groups * 16,
        )  # fmt: skip
    function("matrix_done", "")()
    return out[:, :N]


SIZES = [(1, 1, 1), (3, 5, 7), (16, 31, 16), (17, 32, 50), (31, 33, 16), (32, 100, 130), (70, 300, 35), (5, 512, 96)]


@needs_unit
@pytest.mark.parametrize("sizes", SIZES)
def test_products_have_the_accuracy_of_single_precision(sizes):
    M, K, N = sizes
    random = np.random.default_rng(1)
    x, w, c = (random.normal(size=shape).astype(np.float32) for shape in ((M, K), (N, K), (N,)))
    expected = x.astype(float) @ w.astype(float).T
    for bias in (None, c):
        wanted = expected if bias is None else expected + bias
        assert np.linalg.norm(multiply(x, w, bias) - wanted) <= 3e-7 * np.linalg.norm(wanted)


@needs_unit
def test_the_check_detects_a_product_of_two_parts_only(monkeypatch):
    x, w = (np.random.default_rng(2).normal(size=(32, 64)).astype(np.float32) for _ in range(2))
    expected = x.astype(float) @ w.astype(float).T
    x_cut = split(x.ravel())[:2].sum(0).reshape(x.shape)
    assert np.linalg.norm(multiply(x_cut, w) - expected) > 1e-6 * np.linalg.norm(expected)


@needs_unit
def test_an_element_does_not_depend_on_other_rows_and_columns():
    random = np.random.default_rng(3)
    x, w = (random.normal(size=shape).astype(np.float32) for shape in ((40, 70), (200, 70)))
    whole = multiply(x, w)
    for rows in (1, 2, 15, 17, 29):
        assert np.array_equal(multiply(x[:rows].copy(), w), whole[:rows])
    assert np.array_equal(multiply(x, w[16:80].copy()), whole[:, 16:80])


@needs_unit
@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", EVERY)
def test_calls_on_the_matrix_unit_are_within_the_bounds_of_float32(name, kind):
    for size in ODD[:5] if "residual" in name else ODD:
        for what, error in errors(make_call(EVERY[name], *size, **KINDS[kind])).items():
            assert error <= (1e-5 if what.startswith("d ") else 1e-6), f"{what} at T, B, D, H = {size}"


@needs_unit
@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("name", ["gru", "reset-before-gru", "lstm", "three-stages"])
def test_gradients_on_the_matrix_unit_have_the_same_bits_for_any_number_of_threads(name, threads, monkeypatch):
    monkeypatch.setattr(launch_plan, "SMALL_CALL", 0)
    monkeypatch.setattr(launch_plan, "SMALL_STEP", 0)
    for sizes in [(9, 37, 30, 96), (5, 3, 20, 200)]:
        found = []
        for n, rows in ((1, 8), (2, 8), (2, 1 << 30), (3, 8), (4, 1 << 30)):
            monkeypatch.setattr(launch_plan, "MATRIX_FEW_ROWS", rows)
            forget_launch_plans()
            threads(n)
            found.append(run(make_call(EVERY[name], *sizes)))
        for other in found[1:]:
            assert all(same_bits(found[0][what], other[what]) for what in other)


@needs_unit
def test_forward_bits_on_the_matrix_unit_do_not_depend_on_the_batch():
    call = make_call(EVERY["gru"], 12, 33, 140, 72)
    with torch.no_grad():
        whole = cpu.run(call).outputs
        for rows in ([0], [32], [5, 6, 7], list(range(20))):
            few = replace(call, x=call.x[:, rows], states=tuple(s[rows] for s in call.states))
            assert same_bits(cpu.run(few).outputs, whole[:, rows])


@needs_unit
@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("name", ["gru", "lstm", "three-stages"])
def test_nan_in_one_sequence_does_not_change_others_on_the_matrix_unit(name):
    call = make_call(EVERY[name], 6, 5, 3, 17)
    x = call.x.detach().clone()
    x[2, 3] = torch.nan
    clean, dirty, others = cpu.run(call), cpu.run(replace(call, x=x.requires_grad_())), [0, 1, 2, 4]
    assert same_bits(dirty.outputs[:, others], clean.outputs[:, others])
    assert dirty.outputs[2:, 3].isnan().all()
    (d_x,) = torch.autograd.grad(dirty.outputs[:, others].sum(), x)
    (expected,) = torch.autograd.grad(clean.outputs[:, others].sum(), call.x)
    assert same_bits(d_x[:, others], expected[:, others])


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("name", ["rnn", "gru", "lstm", "three-stages"])
def test_large_calls_without_the_matrix_unit_are_within_the_bounds(name, monkeypatch):
    without = replace(kernels.here(), matrix=False)
    monkeypatch.setattr(kernels, "here", lambda: without)
    for what, error in errors(make_call(EVERY[name], 5, 33, 130, 160)).items():
        assert error <= (1e-5 if what.startswith("d ") else 1e-6), what


def test_the_inner_loop_does_not_use_the_stack():
    code = Code(target.AMX, "float")
    matrix.emit(code)
    assembly = runtime.assembly(str(code.module).replace("define internal", "define"), code.target)
    loops = [loop for loop in inner_loops(assembly) if "tdpbf16ps" in loop]
    assert sorted(loop.count("tdpbf16ps") for loop in loops) == [6, 12, 12, 24]
    assert not any("%rsp" in loop for loop in loops)


def test_targets_without_the_matrix_unit_do_not_use_it():
    code = Code(target.AVX512, "float")
    tile.emit(code)
    assert "llvm.x86.t" not in str(code.module)
    assert not abi.matrix_usable(target.AVX512, "float")
    assert not abi.matrix_usable(target.AMX, "double")


@pytest.mark.parametrize("precision", ["highest", "medium"])
def test_kernels_for_the_matrix_unit_can_be_compiled_on_every_x86_machine(precision, monkeypatch, tmp_path):
    host = target.host()
    if host is None or not host.triple.startswith("x86"):
        pytest.skip("links code for x86-64")
    monkeypatch.setenv("TIDEGATE_CACHE", str(tmp_path))
    unit = replace(target.AMX, triple=host.triple)
    shape = launch_plan.Shape(trace(EVERY["gru"]), torch.float32, 35, 32, 256, 256, False, False, False, False, 2, unit)
    shape = replace(shape, precision=precision)
    assert launch_plan.matrix_inputs(shape)
    assert launch_plan.backward_products(shape, 384) == (abi.Form.TERMS, abi.Form.TERMS)
    assert (launch_plan.forward_products(shape).recurrent is abi.Form.PAIRS) is (precision == "medium")
    plans = (
        launch_plan.forward_launch(shape, save=True),
        launch_plan.backward_launch(shape, need_x=True, need_w_ih=True),
    )
    for plan in plans:
        for layout in (plan.scratch, plan.packed, plan.kept):
            assert set(layout.offset) <= set(plan.at)


class Features(dict[str, bool]):
    """The features of a processor, as llvmlite reports them."""

    def flatten(self) -> str:
        return ",".join(f"+{name}" for name in self)


@pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="AMX is a unit of x86-64")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux grants the unit by a system call")
@pytest.mark.parametrize(("answer", "granted"), [(0, True), (-1, False)])
def test_the_matrix_unit_is_used_only_where_the_system_permits_it(answer, granted, monkeypatch):
    names = ("avx512f", "avx512dq", "avx512vl", "fma", "amx-tile", "amx-bf16")
    monkeypatch.setattr(llvm, "get_host_cpu_features", lambda: Features.fromkeys(names, True))
    monkeypatch.setattr(ctypes, "CDLL", lambda *_: type("libc", (), {"syscall": staticmethod(lambda *_: answer)}))
    target.host.cache_clear()
    try:
        found = target.host()
        assert found is not None
        assert found.matrix is granted
    finally:
        target.host.cache_clear()
