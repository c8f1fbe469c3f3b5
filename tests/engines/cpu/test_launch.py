"""Whole sequences against the float64 reference; bits that depend neither on threads nor on the rest of the batch."""

from dataclasses import replace

import pytest
import torch
from tests.engines.cpu.calls import EVERY, KINDS, ODD, errors, in_double, make_call, run, same_bits

import tidegate
from tidegate.engines import cpu, reference
from tidegate.engines.cpu import functions, kernels, launch, launch_plan, target

pytestmark = pytest.mark.usefixtures("poisoned")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", EVERY)
def test_float64_is_exact_at_odd_sizes(name, kind):
    for sizes in ODD:
        for what, error in errors(make_call(EVERY[name], *sizes, torch.float64, **KINDS[kind])).items():
            assert error <= 1e-12, f"{what} at T, B, D, H = {sizes}"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", EVERY)
def test_float32_is_within_its_bounds_at_odd_sizes(name, kind):
    # A residual state grows and its map expands, so what every engine loses there is not the kernel's to keep.
    sizes = ODD[:5] if "residual" in name else ODD
    for size in sizes:
        for what, error in errors(make_call(EVERY[name], *size, **KINDS[kind])).items():
            assert error <= (1e-5 if what.startswith("d ") else 1e-6), f"{what} at T, B, D, H = {size}"


@pytest.mark.parametrize("sizes", [(200, 2, 5, 48), (3, 2, 130, 260)])
@pytest.mark.parametrize("name", ["gru", "reset-before-gru", "lstm"])
def test_long_and_wide_calls_are_within_the_bounds(name, sizes):
    for what, error in errors(make_call(EVERY[name], *sizes)).items():
        assert error <= (1e-5 if what.startswith("d ") else 1e-6), what


def test_ten_thousand_steps_stay_within_bounds():
    call = make_call(EVERY["gru"], 10_000, 1, 3, 16)
    with torch.no_grad():
        got, expected = cpu.run(call).outputs.double(), reference.run(in_double(call)).outputs
    assert float((got - expected).norm() / expected.norm()) <= 1e-5


@pytest.mark.parametrize("name", ["rnn", "gru", "reset-before-gru", "peephole-lstm", "three-stages"])
def test_kernels_for_avx2_are_exact(name, monkeypatch):
    host = target.host()
    if host is None or not host.triple.startswith("x86"):
        pytest.skip("needs an x86-64 processor")
    narrow = replace(target.AVX2, triple=host.triple)
    monkeypatch.setattr(kernels, "here", lambda: narrow)
    for sizes in ODD[2:]:
        for what, error in errors(make_call(EVERY[name], *sizes, torch.float64, lengths=True, resets=True)).items():
            assert error <= 1e-12, what
        for what, error in errors(make_call(EVERY[name], *sizes)).items():
            assert error <= (1e-5 if what.startswith("d ") else 1e-6), what


def test_the_check_detects_a_wrong_gradient(monkeypatch, tmp_path):
    monkeypatch.setenv("TIDEGATE_CACHE", str(tmp_path))  # where no right kernel is, and the wrong one stays
    right = functions.table
    monkeypatch.setattr(functions, "table", lambda code: {**right(code), "tanh": functions.sigmoid})
    kernels.forward_kernel.cache_clear()
    launch_plan.forward_launch.cache_clear()
    try:
        assert max(errors(make_call(EVERY["gru"], 3, 2, 2, 3)).values()) > 1e-3
    finally:
        kernels.forward_kernel.cache_clear()
        launch_plan.forward_launch.cache_clear()


@pytest.mark.parametrize("sizes", [(9, 37, 30, 96), (5, 3, 20, 200), (6, 64, 64, 64)])
@pytest.mark.parametrize("name", ["gru", "reset-before-gru", "lstm", "three-stages"])
def test_bits_do_not_depend_on_the_number_of_threads(name, sizes, threads, monkeypatch):
    monkeypatch.setattr(launch_plan, "SMALL_CALL", 0)
    monkeypatch.setattr(launch_plan, "SMALL_STEP", 0)
    launch_plan.forward_launch.cache_clear(), launch_plan.backward_launch.cache_clear()
    found = []
    for n, rows in ((1, 8), (2, 8), (2, 1 << 30), (3, 8), (4, 1 << 30)):
        monkeypatch.setattr(launch_plan, "FEW_ROWS", rows)
        launch_plan.forward_launch.cache_clear(), launch_plan.backward_launch.cache_clear()
        threads(n)
        found.append(run(make_call(EVERY[name], *sizes)))
    launch_plan.forward_launch.cache_clear(), launch_plan.backward_launch.cache_clear()
    for other in found[1:]:
        assert all(same_bits(found[0][what], other[what]) for what in other)


@pytest.mark.parametrize("kind", ["class indices", "class indices ragged reverse", "class indices no bias"])
@pytest.mark.parametrize("name", EVERY)
def test_bits_do_not_depend_on_whether_columns_of_classes_are_read_where_they_lie(name, kind, threads, monkeypatch):
    options = {"indexed": True, **KINDS.get(kind.removeprefix("class indices "), {})}
    monkeypatch.setattr(launch_plan, "SMALL_CALL", 0)
    monkeypatch.setattr(launch_plan, "SMALL_STEP", 0)
    for sizes in ((1, 1, 40, 5), (9, 3, 7, 33), (40, 8, 300, 64)):
        found = []
        for classes, n in ((0, 1), (0, 3), (1 << 60, 1)):
            monkeypatch.setattr(launch_plan, "CLASSES", classes)
            launch_plan.forward_launch.cache_clear(), launch_plan.backward_launch.cache_clear()
            threads(n)
            found.append(run(make_call(EVERY[name], *sizes, **options)))
        launch_plan.forward_launch.cache_clear(), launch_plan.backward_launch.cache_clear()
        for other in found[1:]:
            assert all(same_bits(found[0][what], other[what]) for what in other)


def test_columns_of_classes_are_read_where_they_lie_for_many_classes_only():
    call = make_call(EVERY["gru"], 2, 3, 48, 5, indexed=True)
    assert launch_plan.direct(launch.shape_of(call))
    assert not launch_plan.direct(launch.shape_of(make_call(EVERY["gru"], 2, 3, 47, 5, indexed=True)))
    assert not launch_plan.direct(launch.shape_of(make_call(EVERY["gru"], 2, 3, 48, 5)))


@pytest.mark.parametrize("name", ["gru", "lstm", "reset-before-gru"])
def test_forward_bits_of_a_sequence_do_not_depend_on_its_batch(name):
    call = make_call(EVERY[name], 12, 33, 20, 72)
    with torch.no_grad():
        whole = cpu.run(call).outputs
        for rows in ([0], [32], [5, 6, 7], list(range(20))):
            few = replace(call, x=call.x[:, rows], states=tuple(s[rows] for s in call.states))
            assert same_bits(cpu.run(few).outputs, whole[:, rows])


@pytest.mark.parametrize("name", EVERY)
def test_training_inference_and_traces_give_the_same_bits(name):
    call = make_call(EVERY[name], 7, 5, 4, 33)
    training = cpu.run(call).outputs
    with torch.no_grad():
        assert same_bits(cpu.run(call).outputs, training)
    assert same_bits(cpu.run(replace(call, keep_gates=True)).outputs, training)


@pytest.mark.parametrize("name", EVERY)
def test_nan_in_one_sequence_does_not_change_others(name):
    call = make_call(EVERY[name], 6, 5, 3, 17)
    clean = cpu.run(call)
    x = call.x.detach().clone()
    x[2, 3] = torch.nan
    dirty = cpu.run(replace(call, x=x.requires_grad_()))
    others = [0, 1, 2, 4]
    assert same_bits(dirty.outputs[:, others], clean.outputs[:, others])
    if name != "rnn-relu":  # relu(NaN) is NaN too, but may be cut off by a later zero weight
        assert dirty.outputs[2:, 3].isnan().all()
    (d_x,) = torch.autograd.grad(dirty.outputs[:, others].sum(), x)
    (expected,) = torch.autograd.grad(clean.outputs[:, others].sum(), call.x)
    assert same_bits(d_x[:, others], expected[:, others])


def test_gradients_through_a_relu_of_nan_are_those_of_torch():
    x = torch.tensor([[[torch.nan, 1.0]]], requires_grad=True)
    found = []
    for kind in (tidegate.RNN, torch.nn.RNN):
        torch.manual_seed(0)
        layer = kind(2, 3, nonlinearity="relu")
        found.append(torch.autograd.grad(layer(x)[0].sum(), (x, layer.bias_hh_l0)))
    assert found[1][1].all()
    for ours, torchs in zip(*found):
        assert torch.allclose(ours, torchs)


@pytest.mark.parametrize("reverse", [False, True])
def test_values_beyond_the_end_of_a_sequence_have_no_effect(reverse):
    call = make_call(EVERY["gru"], 9, 4, 3, 20, lengths=True, reverse=reverse)
    x = call.x.detach().clone()
    for b, n in enumerate(call.lengths.tolist()):
        x[n:, b] = torch.nan
    clean, dirty = run(call), run(replace(call, x=x.requires_grad_()))
    assert all(same_bits(clean[what], dirty[what]) for what in clean)
