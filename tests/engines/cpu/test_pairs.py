"""Products of bfloat16 pairs: their rounding and bits; whole calls against an oracle that rounds operands itself."""

import ctypes
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.engines.cpu import rounded
from tests.engines.cpu.calls import EVERY, KINDS, errors, make_call, run, same_bits
from tests.engines.cpu.test_tile import inner_loops
from tests.engines.cpu.test_unpacked import fenced

from tidegate.engines import cpu
from tidegate.engines.cpu import abi, kernels, launch, launch_plan, pairs, runtime, target
from tidegate.engines.cpu.abi import Form, Products
from tidegate.engines.cpu.vector import Code, Vec

needs_pairs = pytest.mark.skipif(
    not getattr(target.host(), "pairs", False), reason="needs a processor with AVX512-BF16"
)
SIZES = [(1, 1, 1), (3, 5, 7), (7, 33, 50), (8, 16, 16), (13, 40, 64), (33, 101, 130), (9, 300, 35)]
CALLS = [(1, 1, 1, 1), (3, 3, 3, 2), (17, 7, 3, 5), (3, 33, 40, 16), (9, 3, 1, 33), (5, 18, 35, 70)]

#: Half a unit in the last of 8 significant bits, the largest relative error of rounding to bfloat16.
U = 2.0**-8


def function(name: str, arguments: str, library: runtime.Library | None = None):
    library = library or kernels.shared_pairs(kernels.here(), "float")[0]
    kinds = [ctypes.c_void_p if letter == "p" else ctypes.c_int64 for letter in arguments]
    return ctypes.CFUNCTYPE(None, *kinds)(library[f"tidegate_float_pairs_{name}"])


def as_bfloat16(x: np.ndarray, library: runtime.Library | None = None) -> np.ndarray:
    """A row of numbers as the kernels round it."""
    count = abi.pairs(len(x))
    row = np.full(2 * count, 0x7FFF, np.uint16)
    rows = function("split_rows", "piiipiii", library)
    rows(x.ctypes.data, len(x), 1, len(x), row.ctypes.data, count, 0, -(-len(x) // 16))
    assert not row[len(x) :].any()
    return (row[: len(x)].astype(np.uint32) << 16).view(np.float32)


def multiply(
    x: np.ndarray, w: np.ndarray, c: np.ndarray | None = None, library: runtime.Library | None = None
) -> np.ndarray:
    """x (M, K) times w (N, K) transposed, plus c (N,)."""
    (M, K), N, count = x.shape, len(w), abi.pairs(x.shape[1])
    columns = -(-N // 16)
    left, panel = np.full((M, count), np.nan, np.float32), np.full((columns, count, 16), np.nan, np.float32)
    out, bias = np.full((M, columns * 16), np.nan, np.float32), None if c is None else np.pad(c, (0, columns * 16 - N))
    packed = function("split_rows", "piiipiii", library), function("pack_right", "piiipi", library)
    packed[0](x.ctypes.data, K, M, K, left.ctypes.data, count, 0, -(-K // 16))
    packed[1](w.ctypes.data, K, N, K, panel.ctypes.data, count * 16)
    function("product", "piiipiiiippii", library)(
        left.ctypes.data, count, 1, M, panel.ctypes.data, count * 16, 16, columns, count,
        None if bias is None else bias.ctypes.data, out.ctypes.data, columns * 16, 0,
    )  # fmt: skip
    return out[:, :N]


def multiply_columns(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """x (K, M) transposed times w (K, N), as the gradients of weights are computed; M at most 16."""
    (K, M), N, count = x.shape, w.shape[1], abi.pairs(len(x))
    columns = -(-N // 16)
    left, panel = np.full((count, 16), np.nan, np.float32), np.full((columns, count, 16), np.nan, np.float32)
    out, zeros = np.full((M, columns * 16), np.nan, np.float32), np.zeros(N + 16, np.float32)
    function("pack_left", "piiipi")(x.ctypes.data, M, K, M, left.ctypes.data, 0)
    pair = function("pack_pair", "ppipi")
    for j in range(count):
        lines = [w[i].ctypes.data if i < K else zeros.ctypes.data for i in (2 * j, 2 * j + 1)]
        pair(*lines, N, panel.ctypes.data + 64 * j, count * 16)
    function("product", "piiipiiiippii")(
        left.ctypes.data, 1, 16, M, panel.ctypes.data, count * 16, 16, columns, count, None, out.ctypes.data,
        columns * 16, 0,
    )  # fmt: skip
    return out[:, :N]


def nearest(x: np.ndarray) -> np.ndarray:
    return rounded.nearest(torch.from_numpy(x)).numpy()


def check_products(library: runtime.Library | None = None) -> None:
    random = np.random.default_rng(0)
    for M, K, N in SIZES:
        x, w, c = (random.normal(size=shape).astype(np.float32) for shape in ((M, K), (N, K), (N,)))
        expected = nearest(x).astype(float) @ nearest(w).astype(float).T + c
        found = multiply(x, w, c, library)
        assert np.linalg.norm(found - expected) <= 1e-6 * np.linalg.norm(expected), (M, K, N)


# -- products ---------------------------------------------------------------------------------------------------------


@needs_pairs
def test_numbers_are_rounded_to_nearest_and_ties_to_even():
    random = np.random.default_rng(0)
    x = (random.normal(size=5003) * 10.0 ** random.integers(-30, 37, size=5003)).astype(np.float32)
    ties = (np.arange(0x3F80_0000, 0x3F90_0000, 0x4000, np.uint32)).view(np.float32)
    for row in (x, ties, -ties):
        assert np.array_equal(as_bfloat16(row), nearest(row))
        assert np.array_equal(as_bfloat16(row), torch.from_numpy(row).bfloat16().float().numpy())


@needs_pairs
def test_infinity_and_nan_stay_and_the_smallest_numbers_become_zero():
    found = as_bfloat16(np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 3.4e38, 1e-40], np.float32))
    assert np.array_equal(found, [np.inf, -np.inf, np.nan, 0, 0, np.inf, 0], equal_nan=True)
    odd = np.array([0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001], np.uint32).view(np.float32)
    assert np.isnan(as_bfloat16(odd)).all()


@needs_pairs
def test_products_are_those_of_rounded_operands():
    check_products()
    random = np.random.default_rng(1)
    for M, K, N in ((1, 1, 1), (5, 31, 50), (16, 32, 16), (16, 77, 100)):
        x, w = (random.normal(size=shape).astype(np.float32) for shape in ((K, M), (K, N)))
        expected = nearest(x).astype(float).T @ nearest(w).astype(float)
        assert np.linalg.norm(multiply_columns(x, w) - expected) <= 1e-6 * np.linalg.norm(expected)


def with_truncation(monkeypatch) -> runtime.Library:
    """The products, compiled with operands that are truncated instead of rounded."""

    def upper_half(code: Code, v: Vec):
        shifted = code.b.lshr(v.as_bits(), code.bit_vector(16))
        return code.b.trunc(shifted, pairs.ir.VectorType(pairs.I16, 16))

    def both(code: Code, first: Vec, second: Vec):
        order = pairs.ir.Constant(pairs.ir.VectorType(pairs.ir.IntType(32), 32), list(range(32)))
        return code.b.shuffle_vector(upper_half(code, first), upper_half(code, second), order)

    monkeypatch.setattr(pairs, "rounded", both)
    code = Code(kernels.here(), "float")
    pairs.emit(code)
    module, machine = runtime.optimize(str(code.module), code.target)
    return runtime.Library(machine.emit_object(module), code.target, {})


@needs_pairs
def test_the_check_detects_weights_that_are_truncated(monkeypatch):
    library = with_truncation(monkeypatch)
    with pytest.raises(AssertionError, match=r"\("):
        check_products(library)


@needs_pairs
def test_every_element_is_within_the_bound_of_rounding():
    random = np.random.default_rng(2)
    for M, K, N in SIZES:
        x, w = (random.normal(size=shape).astype(np.float32) for shape in ((M, K), (N, K)))
        exact, size = x.astype(float) @ w.astype(float).T, np.abs(x).astype(float) @ np.abs(w).astype(float).T
        assert (np.abs(multiply(x, w) - exact) <= (2 * U + U**2 + K * 2.0**-23) * size).all()


@needs_pairs
def test_an_element_does_not_depend_on_other_rows_and_columns():
    random = np.random.default_rng(3)
    x, w = (random.normal(size=shape).astype(np.float32) for shape in ((40, 70), (200, 70)))
    whole = multiply(x, w)
    for rows in (1, 2, 3, 5, 7, 11, 29):
        assert np.array_equal(multiply(x[:rows].copy(), w), whole[:rows])
    assert np.array_equal(multiply(x, w[16:80].copy()), whole[:, 16:80])


@needs_pairs
@pytest.mark.parametrize("bias", [False, True])
def test_weights_that_are_not_packed_give_the_bits_of_packed_ones(bias):
    random = np.random.default_rng(4)
    for M, K, N in [*SIZES, (2, 15, 20), (1, 47, 5), (16, 64, 130)]:
        x, w, c = (fenced(random.normal(size=shape).astype(np.float32)) for shape in ((M, K), (N, K), (N,)))
        count, columns = abi.pairs(K), -(-N // 16) * 16
        left, out = np.full((M, count), np.nan, np.float32), fenced(np.full((M, columns), np.nan, np.float32))
        function("split_rows", "piiipiii")(x.ctypes.data, K, M, K, left.ctypes.data, count, 0, -(-K // 16))
        function("unpacked_product", "piipiiippii")(
            left.ctypes.data, count, M, w.ctypes.data, K, N, K, c.ctypes.data if bias else None, out.ctypes.data,
            columns, 16,
        )  # fmt: skip
        assert np.array_equal(out[:, :N], multiply(x, w, c if bias else None)), (M, K, N)
        assert not out[:, N:].any()


@needs_pairs
@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("name", EVERY)
def test_a_single_step_has_the_bits_of_that_step_in_a_sequence(name):
    for sizes in ((9, 1, 33, 21), (2, 6, 5, 70)):
        whole = medium(name, *sizes)
        with torch.no_grad():
            outputs, states = cpu.run(whole).outputs, whole.states
            for t in range(sizes[0]):
                found = cpu.run(replace(whole, x=whole.x[t : t + 1], states=states))
                states = found.states
                assert same_bits(found.outputs[0], outputs[t])


def test_the_inner_loop_does_not_use_the_stack_and_compiles_on_every_machine():
    code = Code(target.BF16, "float")
    pairs.emit(code)
    assembly = runtime.assembly(str(code.module).replace("define internal", "define"), code.target)
    loops = [loop for loop in inner_loops(assembly) if "vdpbf16ps" in loop and "vcvtne2ps2bf16" not in loop]
    assert max(loop.count("vdpbf16ps") for loop in loops) == 24
    assert not any("%rsp" in loop for loop in loops)


# -- calls ------------------------------------------------------------------------------------------------------------


def medium(name: str, *sizes: int, **options: bool):
    return replace(make_call(EVERY[name], *sizes, **options), precision="medium")


@needs_pairs
@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", EVERY)
def test_calls_are_those_of_rounded_operands(name, kind):
    # A sum in another order may round to the other neighbour of 8 bits, so the results differ by more than float32's
    # roundings; with truncated operands they differ by 2e-3 and more.
    for size in CALLS:
        call = medium(name, *size, **KINDS[kind])
        for what, error in rounded.differences(run(call), rounded.run(call)).items():
            assert error <= (2e-3 if what.startswith("d ") else 5e-4), f"{what} at T, B, D, H = {size}"


@needs_pairs
def test_the_oracle_distinguishes_truncated_operands():
    for name in ("gru", "lstm", "three-stages"):
        call = medium(name, 5, 18, 35, 70)
        found = rounded.differences(run(call), rounded.run(call, rounded.truncated))
        assert found["outputs"] > 1e-3
        assert all(error > 4e-3 for what, error in found.items() if what in ("d x", "d w_ih", "d w_hh")), found


@needs_pairs
@pytest.mark.parametrize("name", [name for name in EVERY if name not in ("rnn-relu", "three-stages")])
def test_errors_against_float64_are_those_of_eight_bits(name):
    # Operands with relative errors of at most U, which average out; a step adds to the errors of those before it. Not
    # the cells with relu and maximum, whose derivatives jump.
    for size in ((5, 18, 35, 70), (20, 5, 16, 33)):
        found = errors(medium(name, *size))
        for what, error in found.items():
            assert error <= (4 * U if what.startswith("d ") else 2 * U), f"{what} at {size}: {error}"
        assert found["outputs"] > U / 64


@needs_pairs
@pytest.mark.parametrize("name", ["gru", "reset-before-gru", "lstm", "three-stages"])
@pytest.mark.parametrize("kind", ["plain", "ragged reverse", "class indices"])
def test_results_have_the_same_bits_for_any_number_of_threads(name, kind, threads, monkeypatch):
    monkeypatch.setattr(launch_plan, "SMALL_CALL", 0)
    monkeypatch.setattr(launch_plan, "SMALL_STEP", 0)
    launch_plan.forward_launch.cache_clear()
    launch_plan.backward_launch.cache_clear()
    for sizes in [(9, 37, 30, 50), (5, 3, 20, 100)]:
        found = []
        for n in (1, 2, 3):
            threads(n)
            found.append(run(medium(name, *sizes, **KINDS[kind])))
        for other in found[1:]:
            assert all(same_bits(found[0][what], other[what]) for what in other)
    launch_plan.forward_launch.cache_clear()
    launch_plan.backward_launch.cache_clear()


@needs_pairs
@pytest.mark.parametrize("name", ["gru", "reset-before-gru", "three-stages"])
def test_bits_do_not_depend_on_the_batch(name):
    call = medium(name, 12, 33, 14, 72)
    with torch.no_grad():
        whole = cpu.run(call).outputs
        for rows in ([0], [32], [5, 6, 7], list(range(20))):
            few = replace(call, x=call.x[:, rows], states=tuple(s[rows] for s in call.states))
            assert same_bits(cpu.run(few).outputs, whole[:, rows])


@needs_pairs
@pytest.mark.parametrize("name", ["gru", "lstm", "three-stages"])
def test_nan_in_one_sequence_does_not_change_others(name):
    call = medium(name, 6, 5, 3, 17)
    x = call.x.detach().clone()
    x[2, 3] = torch.nan
    clean, dirty, others = cpu.run(call), cpu.run(replace(call, x=x.requires_grad_())), [0, 1, 2, 4]
    assert same_bits(dirty.outputs[:, others], clean.outputs[:, others])
    assert dirty.outputs[2:, 3].isnan().all()
    (d_x,) = torch.autograd.grad(dirty.outputs[:, others].sum(), x)
    (expected,) = torch.autograd.grad(clean.outputs[:, others].sum(), call.x)
    assert same_bits(d_x[:, others], expected[:, others])


@needs_pairs
def test_the_table_of_class_indices_stays_in_float32():
    call = medium("gru", 7, 5, 11, 20, indexed=True)
    with torch.no_grad():
        call.weights.w_hh.zero_()
        assert same_bits(cpu.run(call).outputs, cpu.run(replace(call, precision="highest")).outputs)


@needs_pairs
def test_recomputed_stretches_have_the_same_bits():
    call = medium("lstm", 11, 4, 5, 18)
    found, again = run(call), run(replace(call, recompute=True))
    assert all(same_bits(found[name], again[name]) for name in ("outputs", "d x", "d state h"))
    for what, error in rounded.differences(again, found).items():
        assert error <= 1e-5, what


@needs_pairs
@pytest.mark.parametrize("name", ["gru", "lstm", "three-stages"])
def test_gradients_that_are_differentiated_again_are_those_of_rounded_operands(name):
    call = medium(name, 5, 6, 7, 20)
    inputs = [call.x, call.weights.w_ih, call.weights.w_hh]
    y = cpu.run(call).outputs
    plain = torch.autograd.grad(y.sum(), inputs, retain_graph=True)
    again = torch.autograd.grad(y.sum(), inputs, create_graph=True)
    exact = torch.autograd.grad(cpu.run(replace(call, precision="highest")).outputs.sum(), inputs, create_graph=True)
    for a, b, other in zip(plain, [g.detach() for g in again], [g.detach() for g in exact]):
        # The kernels round the gradients of products too.
        assert float((a - b).norm()) <= 2 * U * float(b.norm())
        assert float((b - other).norm()) > 1e-4 * float(b.norm())
    assert torch.autograd.grad(sum(g.square().sum() for g in again), call.weights.w_hh)[0].isfinite().all()


# -- where they are used ----------------------------------------------------------------------------------------------


def test_kernels_of_the_highest_precision_have_no_such_products():
    unit = replace(kernels.here(), pairs=True)
    for name in EVERY:
        shape = launch.shape_of(make_call(EVERY[name], 3, 2, 4, 5))
        assert launch_plan.forward_products(replace(shape, target=unit)).recurrent is Form.NUMBERS
        made = kernels.forward_program(shape.step, shape.target, "float", save=True, ragged=False, traced=False)
        assert "pairs_" not in str(made.module)
        made = kernels.backward_program(shape.step, shape.target, "float", ragged=False, traced=False)
        assert "pairs_" not in str(made.module)


def test_programs_of_the_medium_precision_multiply_pairs_everywhere():
    form = Products(Form.PAIRS, Form.PAIRS)
    for name in EVERY:
        shape = launch.shape_of(make_call(EVERY[name], 3, 2, 4, 5))
        options = {"ragged": False, "traced": False, "products": form}
        for made in (
            kernels.forward_program(shape.step, target.BF16, "float", save=True, **options),
            kernels.backward_program(shape.step, target.BF16, "float", **options),
        ):
            calls = [line for line in str(made.module).splitlines() if 'call void @"tidegate_float_product"' in line]
            # The backward kernel sums rows of gradients of biases by a product with ones in float32.
            assert len(calls) <= 1, name


def test_without_the_instructions_calls_are_computed_in_float32(monkeypatch):
    call = medium("gru", 4, 3, 5, 6)
    expected = run(replace(call, precision="highest"))
    without = replace(kernels.here(), pairs=False)
    monkeypatch.setattr(kernels, "here", lambda: without)
    found = run(call)
    assert all(same_bits(found[what], expected[what]) for what in expected)
    assert "AVX512-BF16" in cpu.products_refuse(call)
