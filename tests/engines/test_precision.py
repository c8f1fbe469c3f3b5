"""Calls whose tensors are half or bfloat16, in float32 arithmetic; the precision of products by torch's switches."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from tests.engines.cpu.calls import EVERY, KINDS, leaves, make_call, outputs

import tidegate
from tidegate import cells
from tidegate.engines import cpu, precision
from tidegate.engines.cpu import kernels

pytestmark = pytest.mark.usefixtures("poisoned")


class MinimalGatedUnit(cells.Cell):
    """A cell of a user: two stages, one gate and a candidate."""

    gates = ("f", "n")
    state = ("h",)

    def equations(a, U, h):
        f = cells.functions.sigmoid(a.f + U.f(h))
        n = cells.functions.tanh(a.n + U.n(f * h))
        return ((1 - f) * h + f * n,), (f, n)


Own = partial(tidegate.Recurrent, MinimalGatedUnit)


def stored(call, storage):
    def convert(t):
        return t if t is None or not t.is_floating_point() else t.detach().to(storage).requires_grad_()

    weights = replace(call.weights, **{name: convert(t) for name, t in vars(call.weights).items()})
    return replace(call, x=convert(call.x), states=tuple(map(convert, call.states)), weights=weights)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("storage", [torch.bfloat16, torch.float16])
def test_numbers_are_those_of_float32_rounded_once(storage, kind):
    products = "medium" if storage is torch.bfloat16 else "highest"
    for name in ("gru", "lstm", "three-stages"):
        call = stored(make_call(EVERY[name], 6, 5, 4, 17, **KINDS[kind]), storage)
        exact = replace(stored(call, torch.float32), precision=products)
        results = [outputs(cpu.run(c)) for c in (call, exact)]
        for what, y in results[0].items():
            assert y.dtype is storage
            assert torch.equal(y, results[1][what].to(storage)), what
        ones = [[torch.ones_like(y) for y in r.values()] for r in results]
        found, expected = (
            torch.autograd.grad(list(r.values()), list(leaves(c).values()), d)
            for r, c, d in zip(results, (call, exact), ones)
        )
        for a, b in zip(found, expected):
            assert a.dtype is storage
            assert torch.equal(a, b.to(storage))


@pytest.fixture
def precision_of_torch():
    """torch's switches, set back after the test."""
    yield torch.set_float32_matmul_precision
    torch.set_float32_matmul_precision("highest")
    torch.backends.mkldnn.matmul.fp32_precision = "none"


@pytest.mark.parametrize("level", ["highest", "high", "medium"])
def test_the_precision_is_that_of_torchs_switch(level, precision_of_torch):
    precision_of_torch(level)
    assert precision.asked() == level
    with torch.autocast("cpu", torch.bfloat16):
        assert precision.asked() == "medium"
    with torch.autocast("cpu", torch.float16):
        assert precision.asked() == level


@pytest.mark.usefixtures("precision_of_torch")
def test_the_switch_of_the_cpu_alone_is_followed_too():
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"
    assert precision.asked() == "medium"
    torch.backends.mkldnn.matmul.fp32_precision = "ieee"
    assert precision.asked() == "highest"


def gradients(layer, x, y):
    return [y.detach(), *torch.autograd.grad(y.square().sum(), [x, *layer.parameters()])]


@pytest.mark.parametrize("make", [tidegate.GRU, tidegate.LSTM, tidegate.ResetBeforeGRU, Own])
def test_a_layer_follows_the_switch_of_its_forward_pass(make, precision_of_torch):
    torch.manual_seed(0)
    layer, x = make(5, 7, num_layers=2, bidirectional=True), torch.randn(6, 3, 5, requires_grad=True)
    found = {}
    for before, after in (("highest", "highest"), ("highest", "medium"), ("medium", "medium"), ("medium", "highest")):
        precision_of_torch(before)
        y = layer(x)[0]
        precision_of_torch(after)
        found[before, after] = gradients(layer, x, y)
    precision_of_torch("highest")
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)[0]
    found["autocast", "none"] = gradients(layer, x, y)
    precision_of_torch("high")
    found["high", "high"] = gradients(layer, x, layer(x)[0])

    def same(a, b):
        return all(map(torch.equal, found[a], found[b]))

    assert all(t.dtype is torch.float32 for t in found["autocast", "none"])
    assert same(("highest", "highest"), ("highest", "medium"))
    assert same(("highest", "highest"), ("high", "high"))
    assert same(("medium", "medium"), ("medium", "highest"))
    assert same(("medium", "medium"), ("autocast", "none"))
    assert same(("medium", "medium"), ("highest", "highest")) is not kernels.here().pairs


@pytest.mark.parametrize("options", [{}, {"recompute": True}], ids=["at once", "recompute"])
@pytest.mark.parametrize("make", [tidegate.GRU, tidegate.LSTM, tidegate.ResetBeforeGRU, Own])
def test_bfloat16_layers_have_the_same_bits_where_kernels_read_their_tensors_and_where_these_are_converted(
    make, options, monkeypatch
):
    layer = make(16, 17, num_layers=2, bidirectional=True, dtype=torch.bfloat16, **options)
    x = torch.randn(6, 3, 16).bfloat16().requires_grad_()
    ragged = {"lengths": [6, 2, 4], "resets": torch.rand(3, 6) < 0.2}
    read, found = [], []
    for reads in (cpu.reads, lambda call: False):
        monkeypatch.setattr(cpu, "reads", lambda call, reads=reads: read.append(reads(call)) or read[-1])
        for form in ({}, ragged):
            y, h = layer(x, **form)
            states = h if isinstance(h, tuple) else (h,)
            loss = y.float().square().sum() + sum(s.float().sum() for s in states)
            found.append([y.detach(), *torch.autograd.grad(loss, [x, *layer.parameters()])])
    assert all(torch.equal(a, b) for first, second in zip(found[:2], found[2:]) for a, b in zip(first, second))
    assert any(read) is (kernels.here().pairs and not kernels.here().matrix and not options)


@pytest.mark.usefixtures("precision_of_torch")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_the_switch_does_not_change_layers_of_other_types(dtype, precision_of_torch):
    layer, x = tidegate.ResetBeforeGRU(5, 7, dtype=dtype), torch.randn(6, 3, 5, dtype=dtype)
    expected = layer(x)[0]
    precision_of_torch("medium")
    assert torch.equal(layer(x)[0], expected)


@torch.no_grad()
def test_single_steps_follow_the_switch_however_often_they_run(precision_of_torch):
    cell, x = tidegate.GRUCell(40, 33), torch.randn(3, 40)
    layer = tidegate.GRU(40, 33)
    layer.load_state_dict({f"{name}_l0": p for name, p in cell.state_dict().items()})
    sequence = torch.stack([x, x])
    for level in ("highest", "medium", "high", "medium", "highest"):
        precision_of_torch(level)
        expected = layer(sequence)[0][0]
        for _ in range(3):
            assert torch.equal(cell(x), expected)
            assert torch.equal(layer(sequence[:1])[0][0], expected)
        with torch.autocast("cpu", torch.bfloat16):
            expected = layer(sequence)[0][0]
            for _ in range(3):
                assert torch.equal(cell(x), expected)
                assert torch.equal(layer(sequence[:1])[0][0], expected)


@pytest.mark.parametrize("make", [tidegate.GRUCell, tidegate.LSTMCell])
def test_single_steps_that_require_gradients_follow_the_switch_of_their_forward_pass(make, precision_of_torch):
    torch.manual_seed(0)
    cell, x = make(40, 33), torch.randn(3, 40, requires_grad=True)

    def step(create_graph=False):
        found = cell(x)
        y = found[0] if isinstance(found, tuple) else found
        precision_of_torch("highest")
        gradients = torch.autograd.grad(y.square().sum(), [x, *cell.parameters()], create_graph=create_graph)
        return [y.detach(), *(g.detach() for g in gradients)]

    exact = step()
    precision_of_torch("medium")
    first = step()
    for _ in range(3):
        precision_of_torch("medium")
        assert all(map(torch.equal, step(), first))
        assert all(map(torch.equal, step(), exact))  # the switch was set back by the step before
    precision_of_torch("medium")
    for a, b in zip(step(create_graph=True), first):
        assert float((a - b).norm()) <= 2.0**-7 * float(b.norm())
    assert torch.equal(first[0], exact[0]) is not kernels.here().pairs


def test_a_compiled_layer_keeps_the_precision_with_which_it_was_made(precision_of_torch):
    layer, x = tidegate.Recurrent(cells.GRU, 5, 17), torch.randn(6, 3, 5, requires_grad=True)
    torch._dynamo.reset()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    precision_of_torch("medium")
    expected = gradients(layer, x, layer(x)[0])
    for after in ("medium", "highest"):
        y = compiled(x)[0]
        precision_of_torch(after)
        found = gradients(layer, x, y)
        assert all(map(torch.equal, found, expected))
    precision_of_torch("highest")
    assert torch.equal(compiled(x)[0], layer(x)[0])


def test_why_names_the_precision_and_the_reason_for_another(precision_of_torch, monkeypatch):
    layer, x = tidegate.GRU(4, 5), torch.randn(3, 2, 4)
    able, without = (replace(kernels.here(), pairs=pairs) for pairs in (True, False))

    def summary(target, layer=layer, x=x):
        monkeypatch.setattr(kernels, "here", lambda: target)
        return tidegate.why(layer, x).summary

    assert summary(able) == summary(without) == "cpu, compiled kernels, on cpu"
    precision_of_torch("medium")
    assert summary(able) == "cpu, compiled kernels with bfloat16 products, on cpu"
    assert summary(without).endswith(
        "products in float32, because this processor does not multiply bfloat16 numbers (AVX512-BF16)"
    )
    assert "the weights are torch.float64" in summary(able, tidegate.GRU(4, 5).double(), x.double())
    precision_of_torch("high")
    assert "three bfloat16 products" in summary(able)
    precision_of_torch("highest")
    half = tidegate.ResetBeforeGRU(4, 5, dtype=torch.bfloat16), x.bfloat16()
    assert summary(able, *half) == "cpu, compiled kernels with bfloat16 products, on cpu"
    assert "AVX512-BF16" in summary(without, *half)
