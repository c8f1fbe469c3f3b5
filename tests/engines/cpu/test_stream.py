"""The kernels of a stream: memory, packing, and products against NumPy in float64."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.engines.cpu.calls import EVERY, make_call
from tests.engines.cpu.memory import fenced_take

from tidegate.calculus import trace
from tidegate.engines.cpu import kernels, launch, runtime, stream, stream_integers, stream_kernel, target
from tidegate.engines.cpu.launch_plan import REAL
from tidegate.engines.cpu.stream_encoded import by_groups, tiled
from tidegate.engines.cpu.stream_kernels import linear_kernel, step_kernel
from tidegate.engines.cpu.stream_packed import PackedLayer, PackedLinear
from tidegate.engines.cpu.stream_stored import STORED
from tidegate.engines.cpu.vector import Code
from tidegate.engines.plan import forward_plan

DTYPES = [torch.float32, torch.float64]


def lanes(dtype: torch.dtype) -> int:
    return kernels.here().lanes(REAL[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("B", "D", "outputs"), [(1, 1, 1), (2, 7, 40), (3, 50, 130), (4, 9, 129), (11, 3, 300)])
def test_a_linear_layer_is_the_product(B, D, outputs, dtype):
    random = np.random.default_rng(B)
    number = torch.empty(0, dtype=dtype).numpy().dtype
    w, b, x = (random.normal(size=shape).astype(number) for shape in ((outputs, D), (outputs,), (B, D)))
    for bias in (b, None):
        program = stream.Program([PackedLinear.of(w, bias, lanes(dtype), "real")], B, dtype)
        program.x[...] = x
        program.run()
        expected = x.astype(float) @ w.astype(float).T + (0 if bias is None else b)
        assert np.abs(program.y - expected).max() <= 20 * np.finfo(number).eps * np.abs(expected).max()


def test_packed_weights_are_all_the_weights_once_and_zeros():
    w = np.arange(1.0, 1 + 3 * 21 * 5).reshape(63, 5)
    vectors = by_groups(w, 3, 4)
    assert vectors.shape == (18, 5, 4)
    assert vectors[2 * 3 + 1, 4, 3] == w[21 + 2 * 4 + 3, 4]
    flat = tiled(vectors, "real")
    assert sorted(flat[flat > 0]) == sorted(w.ravel())
    assert flat[: 6 * 4].tolist() == vectors[:6, 0].ravel().tolist()  # 18 vectors are three tiles of 6


class FencedAndFullOfNan:
    """As workspace.Memory: full of NaN, and before a page that cannot be accessed."""

    def __init__(self, size: int):
        self.array = fenced_take(size).array
        self.array[...] = 0xFF


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", EVERY)
def test_a_step_reads_only_what_was_written_and_stays_within_its_memory(name, dtype, monkeypatch):
    for B, D, H in ((1, 3, 5), (5, 20, 33), (3, 1, 64)):
        call = make_call(EVERY[name], 1, B, D, H, dtype)
        layer = PackedLayer.of(call.step, call.weights, lanes(dtype), "real")
        with monkeypatch.context() as patch:
            patch.setattr(stream, "Memory", FencedAndFullOfNan)
            program = stream.Program([layer], B, dtype)
        with torch.no_grad():
            expected = launch.forward(call, save=False)
        program.x[...] = call.x[0].detach().numpy()
        for s, start in zip(program.states[0], call.states):
            s[...] = start.detach().numpy()
        program.run()
        assert np.array_equal(program.y, expected.outputs[0].numpy())
        for s, final in zip(program.states[0], expected.finals):
            assert np.array_equal(s, final.numpy())


def test_numbers_that_are_not_finite_reach_the_outputs_of_their_session_only():
    call = make_call(EVERY["gru"], 1, 3, 4, 20)
    program = stream.Program([PackedLayer.of(call.step, call.weights, lanes(torch.float32), "real")], 3, torch.float32)
    program.x[1, 2] = np.nan
    program.run()
    assert np.isnan(program.y).all(1).tolist() == [False, True, False]
    assert np.isfinite(program.y[[0, 2]]).all()


def test_a_step_on_the_matrix_unit_can_be_compiled_on_every_x86_machine(monkeypatch, tmp_path):
    host = target.host()
    if host is None or not host.triple.startswith("x86"):
        pytest.skip("links code for x86-64")
    monkeypatch.setenv("TIDEGATE_CACHE", str(tmp_path))
    unit = replace(target.AMX, triple=host.triple)
    kernel = step_kernel(trace(EVERY["gru"]), unit, "float", "real", on_matrix=True)
    assert {"x_terms", "packed_w", "tiles_w"} <= set(kernel.arguments)


FORMS = ["real", "bfloat16", "int8"]


@pytest.fixture(params=["host", "avx2", "without integers"])
def machine(request, monkeypatch, tmp_path):
    """The kernels of this machine; those for AVX2; and those of a machine without products of integers."""
    host = target.host()
    if request.param == "host":
        yield
        return
    if host is None or not host.triple.startswith("x86"):
        pytest.skip("another processor than x86-64")
    monkeypatch.setenv("TIDEGATE_CACHE", str(tmp_path))
    if request.param == "avx2":
        monkeypatch.setattr(kernels, "here", lambda: replace(target.AVX2, triple=host.triple))
    else:
        monkeypatch.setattr(stream_integers, "supported", lambda code: False)
    for made in (linear_kernel, step_kernel):  # those of before stay: steps are linked to them and may be called
        monkeypatch.setattr(made, "_made", {})
    yield


def linear(w: np.ndarray, x: np.ndarray, stored: str, bias: np.ndarray | None = None) -> np.ndarray:
    program = stream.Program([PackedLinear.of(w, bias, lanes(torch.float32), stored)], len(x), torch.float32)
    program.x[...] = x
    program.run()
    return program.y.copy()


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("stored", FORMS)
def test_stored_weights_give_the_product_to_their_precision(stored):
    random = np.random.default_rng(3)
    for B, D, outputs in ((1, 1, 1), (2, 7, 40), (4, 50, 131), (9, 129, 17)):
        w, b, x = (random.normal(size=shape).astype(np.float32) for shape in ((outputs, D), (outputs,), (B, D)))
        expected = x.astype(float) @ w.astype(float).T + b
        error = np.linalg.norm(linear(w, x, stored, b) - expected) / np.linalg.norm(expected)
        assert error < {"real": 1e-6, "bfloat16": 4e-3, "int8": 1e-2}[stored]
        assert error > {"real": -1, "bfloat16": 1e-5, "int8": -1}[stored]


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("K", [1, 513, 3000])
def test_the_largest_integers_do_not_overflow(K):
    w = np.full((5, K), 0.75, np.float32)
    w[1] *= -1
    x = np.full((2, K), -3e4, np.float32)
    assert np.allclose(linear(w, x, "int8"), x.astype(float) @ w.T, rtol=1e-4)


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("stored", FORMS)
def test_a_row_that_is_not_finite_gives_results_that_are_not_finite(stored, value):
    random = np.random.default_rng(4)
    w, x = random.normal(size=(20, 33)).astype(np.float32), random.normal(size=(3, 33)).astype(np.float32)
    x[1, 32] = value
    found = linear(w, x, stored)
    assert np.isfinite(found).all(1).tolist() == [True, False, True]
    assert not np.isfinite(found[1]).any()


@pytest.mark.usefixtures("machine")
def test_a_row_of_zeros_gives_zeros():
    assert not linear(np.ones((3, 5), np.float32), np.zeros((2, 5), np.float32), "int8").any()


@pytest.mark.parametrize("stored", FORMS)
@pytest.mark.parametrize("processor", [target.AVX2, target.AVX512, target.AMX, target.NEON])
def test_the_kernels_can_be_compiled_for_every_processor(processor, stored):
    code = Code(processor, "float")
    stream_kernel.emit_shared(code, STORED[stored])
    assert "stream_linear" in runtime.assembly(str(code.module), processor)
    code = Code(processor, "float")
    plan = forward_plan(trace(EVERY["three-stages"]), save=False, ragged=False, traced=False)
    stream_kernel.emit_step(code, plan, STORED[stored], on_matrix=processor.matrix)
    assert "stream_step" in runtime.assembly(str(code.module), processor)
