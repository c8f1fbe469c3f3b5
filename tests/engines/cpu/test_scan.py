"""Whole sequences against the float64 reference, and what must not depend on threads, batches or neighbours."""

import os
import signal
import threading
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor

import tidegate
from tidegate import cells
from tidegate.calculus import trace
from tidegate.engines import choose, cpu, eager, reference
from tidegate.engines.call import Call, Result, Weights
from tidegate.engines.cpu import kernels, target
from tidegate.errors import EngineError, ShapeError


class ThreeStages(cells.Cell):
    """Odd on purpose: products of expressions, of gates and of a second state, a vector, a gate without a product."""

    gates = ("u", "w", "k", "y")
    state = ("h", "m")
    vectors = ("s",)

    def equations(a, U, v, h, m):
        u = cells.functions.sigmoid(a.u + U.u(v.s * h))
        k = cells.functions.tanh(a.k + U.k(u * m))
        w = cells.functions.softplus(a.w + U.w(cells.functions.maximum(k, 0.1 * h)))
        y = cells.functions.relu(a.y + k)
        m_new = u * m + (1 - u) * k
        return (cells.functions.tanh(m_new + 0.3 * y) / (1 + w), m_new), (u, w, k, y)


EVERY = {**cells.CELLS, "three-stages": ThreeStages}
KINDS = {
    "plain": {},
    "reverse": {"reverse": True},
    "ragged": {"lengths": True, "resets": True},
    "ragged reverse": {"lengths": True, "resets": True, "reverse": True},
    "gates": {"keep_gates": True},
    "gates ragged": {"keep_gates": True, "lengths": True, "resets": True, "reverse": True},
    "class numbers": {"indexed": True},
    "no bias": {"bias": False},
}


def make_call(
    cell: type[cells.Cell], T: int, B: int, D: int, H: int, dtype: torch.dtype = torch.float32, *, seed: int = 0,
    indexed: bool = False, lengths: bool = False, resets: bool = False, bias: bool = True, **options: bool,
) -> Call:  # fmt: skip
    """A call with random inputs, states, weights of size 1 / sqrt(H), and biases."""
    random = torch.Generator().manual_seed(seed)
    step = trace(cell)

    def leaf(scale: float, *shape: int) -> Tensor:
        return (torch.randn(shape, generator=random, dtype=torch.float64) * scale).to(dtype).requires_grad_()

    Ga, Gq, V = len(step.inputs), len(step.products), len(step.vectors)
    biases = (leaf(0.3, Ga * H), leaf(0.3, Gq * H)) if bias else (None, None)
    w = Weights(leaf(D**-0.5, Ga * H, D), leaf(0.7 * H**-0.5, Gq * H, H), *biases, leaf(0.5, V * H) if V else None)
    x = torch.randint(D, (T, B), generator=random) if indexed else leaf(1.0, T, B, D)
    states = tuple(leaf(0.5, B, H) for _ in step.state)
    length = torch.randint(0, T + 1, (B,), generator=random) if lengths else None
    reset = torch.rand(T, B, generator=random) < 0.2 if resets else None
    return Call(step, x, states, w, lengths=length, resets=reset, **options)


def leaves(call: Call) -> dict[str, Tensor]:
    """What gradients are taken of, by name."""
    names = ["x", *(f"state {s}" for s in call.step.state), "w_ih", "w_hh", "b_ih", "b_hh", "vectors", "w_hr"]
    tensors = (call.x, *call.states, *call.weights.tensors())
    return {n: t for n, t in zip(names, tensors) if t is not None and t.requires_grad}


def outputs(result: Result) -> dict[str, Tensor]:
    found = {"outputs": result.outputs} | {f"final {i}": s for i, s in enumerate(result.states)}
    found |= {f"sequence {s}": y for s, y in result.sequences.items()}
    return found | {f"gate {g}": y for g, y in result.gates.items()}


def run(call: Call, engine=cpu) -> dict[str, Tensor]:
    """Outputs, and gradients of a random sum of them, by name."""
    found = outputs(engine.run(call))
    random = torch.Generator().manual_seed(9)
    d = [torch.randn(y.shape, generator=random, dtype=torch.float64).to(y.dtype) for y in found.values()]
    inputs = leaves(call)
    gradients = torch.autograd.grad(list(found.values()), list(inputs.values()), d)
    return {n: y.detach() for n, y in found.items()} | {f"d {n}": g for n, g in zip(inputs, gradients)}


def in_double(call: Call) -> Call:
    """The same numbers in float64."""

    def double(t: Tensor | None) -> Tensor | None:
        return t if t is None or not t.is_floating_point() else t.detach().double().requires_grad_()

    weights = Weights(*map(double, call.weights.tensors()))
    return replace(call, x=double(call.x), states=tuple(map(double, call.states)), weights=weights)


def errors(call: Call) -> dict[str, float]:
    """Relative L2 error of every output and gradient against the float64 reference; what is smaller than 0.1 on the
    root of its mean square, as a single number may be by cancellation, is compared with 0.1."""
    got, expected = run(call), run(in_double(call), reference)
    assert got.keys() == expected.keys()
    return {
        n: float((got[n].double() - e).norm() / max(float(e.norm()), 0.1 * e.numel() ** 0.5)) if e.numel() else 0.0
        for n, e in expected.items()
    }


ODD = [(1, 1, 1, 1), (3, 3, 3, 2), (17, 7, 3, 5), (3, 33, 40, 16), (17, 3, 1, 33), (40, 3, 3, 64), (17, 33, 40, 100)]


@pytest.fixture(autouse=True)
def poisoned(monkeypatch):
    """Memory handed to kernels is full of NaN, so that a number nobody wrote is seen."""
    from tidegate.engines.cpu import workspace

    take, new = workspace._take, torch.empty

    def nan_take(size: int) -> np.ndarray:
        memory = take(size)
        memory[: memory.nbytes // 8 * 8].view(np.float64)[:] = np.nan
        return memory

    def nan_empty(*shape, **options):
        made = new(*shape, **options)
        return made.fill_(torch.nan) if made.is_floating_point() else made

    monkeypatch.setattr(workspace, "_take", nan_take)
    monkeypatch.setattr(torch, "empty", nan_empty)


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", EVERY)
def test_float64_is_exact_at_odd_sizes(name, kind):
    for sizes in ODD:
        for what, error in errors(make_call(EVERY[name], *sizes, torch.float64, **KINDS[kind])).items():
            assert error <= 1e-12, f"{what} at T, B, D, H = {sizes}"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", EVERY)
def test_float32_keeps_its_bounds_at_odd_sizes(name, kind):
    # A residual state grows and its map expands, so what every engine loses there is not the kernel's to keep.
    sizes = ODD[:5] if "residual" in name else ODD
    for size in sizes:
        for what, error in errors(make_call(EVERY[name], *size, **KINDS[kind])).items():
            assert error <= (1e-5 if what.startswith("d ") else 1e-6), f"{what} at T, B, D, H = {size}"


@pytest.mark.parametrize("sizes", [(200, 2, 5, 48), (3, 2, 130, 260)])
@pytest.mark.parametrize("name", ["gru", "reset-before-gru", "lstm"])
def test_long_and_wide_calls_keep_the_bounds(name, sizes):
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


def test_a_wrong_gradient_would_be_found(monkeypatch, tmp_path):
    from tidegate.engines.cpu import functions

    monkeypatch.setenv("TIDEGATE_CACHE", str(tmp_path))  # where no right kernel is, and the wrong one stays
    right = functions.table
    monkeypatch.setattr(functions, "table", lambda code: {**right(code), "tanh": functions.sigmoid})
    kernels.forward_kernel.cache_clear()
    from tidegate.engines.cpu import frame

    frame.forward_frame.cache_clear()
    try:
        assert max(errors(make_call(EVERY["gru"], 3, 2, 2, 3)).values()) > 1e-3
    finally:
        kernels.forward_kernel.cache_clear()
        frame.forward_frame.cache_clear()


# Bits.


def same_bits(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a.detach().view(torch.int32), b.detach().view(torch.int32))


@pytest.mark.parametrize("sizes", [(9, 37, 30, 96), (5, 3, 20, 200), (6, 64, 64, 64)])
@pytest.mark.parametrize("name", ["gru", "reset-before-gru", "lstm", "three-stages"])
def test_bits_do_not_depend_on_the_number_of_threads(name, sizes, threads, monkeypatch):
    from tidegate.engines.cpu import frame

    monkeypatch.setattr(frame, "SMALL_CALL", 0)
    monkeypatch.setattr(frame, "SMALL_STEP", 0)
    frame.forward_frame.cache_clear(), frame.backward_frame.cache_clear()
    found = []
    for n, rows in ((1, 8), (2, 8), (2, 1 << 30), (3, 8), (4, 1 << 30)):
        monkeypatch.setattr(frame, "FEW_ROWS", rows)
        frame.forward_frame.cache_clear(), frame.backward_frame.cache_clear()
        threads(n)
        found.append(run(make_call(EVERY[name], *sizes)))
    frame.forward_frame.cache_clear(), frame.backward_frame.cache_clear()
    for other in found[1:]:
        assert all(same_bits(found[0][what], other[what]) for what in other)


@pytest.mark.parametrize("name", ["gru", "lstm", "reset-before-gru"])
def test_forward_bits_do_not_depend_on_the_batch_a_sequence_travels_in(name):
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


# Neighbours.


@pytest.mark.parametrize("name", EVERY)
def test_nan_in_one_sequence_stays_there(name):
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


def test_gradients_pass_a_relu_of_nan_as_in_torch():
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
def test_what_stands_beyond_a_sequences_end_does_not_matter(reverse):
    call = make_call(EVERY["gru"], 9, 4, 3, 20, lengths=True, reverse=reverse)
    x = call.x.detach().clone()
    for b, n in enumerate(call.lengths.tolist()):
        x[n:, b] = torch.nan
    clean, dirty = run(call), run(replace(call, x=x.requires_grad_()))
    assert all(same_bits(clean[what], dirty[what]) for what in clean)


# The life of a call.


def test_recomputed_gradients_are_the_same():
    for options in ({}, {"reverse": True}, {"lengths": True, "resets": True}):
        call = make_call(EVERY["lstm"], 30, 4, 5, 33, **options)
        whole, blocks = run(call), run(replace(call, recompute=True))
        assert same_bits(whole["outputs"], blocks["outputs"])
        for what in whole:
            assert float((whole[what] - blocks[what]).norm()) <= 1e-6 * float(whole[what].norm()), what


def test_second_derivatives_are_those_of_the_eager_engine():
    call = in_double(make_call(EVERY["gru"], 4, 3, 2, 5))
    found = []
    for engine in (cpu, eager):
        inputs = list(leaves(call).values())
        first = torch.autograd.grad(engine.run(call).outputs.square().sum(), inputs, create_graph=True)
        found.append(torch.autograd.grad(sum(g.square().sum() for g in first), inputs))
    for got, expected in zip(*found):
        assert torch.allclose(got, expected, rtol=1e-9, atol=1e-12)


def test_inputs_need_not_lie_evenly_in_memory():
    call = make_call(EVERY["gru"], 6, 5, 4, 20)
    odd = replace(
        call,
        x=call.x.detach().transpose(0, 1).contiguous().transpose(0, 1).requires_grad_(),
        weights=replace(call.weights, w_hh=call.weights.w_hh.detach().t().contiguous().t().requires_grad_()),
    )
    d = torch.ones(()).expand(6, 5, 20)
    for a, b in zip(*(torch.autograd.grad(cpu.run(c).outputs, list(leaves(c).values()), d) for c in (call, odd))):
        assert same_bits(a.contiguous(), b.contiguous())


def test_outputs_changed_in_place_before_backward_are_noticed():
    call = make_call(EVERY["gru"], 3, 2, 2, 4)
    y = cpu.run(call).outputs
    total = y.sum()
    y.detach().add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()


def test_a_graph_can_be_kept_and_used_twice():
    call = make_call(EVERY["lstm"], 5, 3, 4, 16)
    inputs, y = list(leaves(call).values()), cpu.run(call).outputs.sum()
    first = torch.autograd.grad(y, inputs, retain_graph=True)
    cpu.run(call)
    second = torch.autograd.grad(y, inputs)
    assert all(same_bits(a, b) for a, b in zip(first, second))


def test_callers_in_several_threads_at_once_get_their_own_numbers():
    calls = [make_call(EVERY[name], 20, 17, 8, 64, seed=i) for i, name in enumerate(("gru", "lstm", "rnn", "gru"))]
    expected = [run(call) for call in calls]
    wrong: list[str] = []

    def work(i: int) -> None:
        for _ in range(10):
            got = run(calls[i])
            wrong.extend(what for what in got if not same_bits(got[what], expected[i][what]))

    workers = [threading.Thread(target=work, args=(i,)) for i in range(len(calls))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_of_a_threaded_parent_runs_and_gives_the_same_bits(threads):
    threads(2)
    layer, x = tidegate.GRU(64, 128), torch.randn(35, 64, 64)
    expected = layer(x)[0].detach().numpy().tobytes()
    child = os.fork()
    if child == 0:
        signal.alarm(30)  # ends a child that waits for threads which it does not have
        os._exit(0 if layer(x)[0].detach().numpy().tobytes() == expected else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_random_calls_of_all_kinds_survive_a_short_stress():
    random = np.random.default_rng(0)
    for seed in range(60):
        T, B, D, H = (int(random.integers(1, n)) for n in (12, 20, 40, 70))
        kind = KINDS[list(KINDS)[random.integers(len(KINDS))]]
        name = list(EVERY)[random.integers(len(EVERY))]
        call = make_call(EVERY[name], T, B, D, H, torch.float64, seed=seed, **kind)
        for what, error in errors(call).items():
            assert error <= 1e-11, f"{what}: {name}, {kind}, {(T, B, D, H)}"


# Refusals.


@pytest.fixture
def asked_anew():
    """What this machine can run is asked once in a process; here before and after the test."""
    cpu.host_refuses.cache_clear()
    yield
    cpu.host_refuses.cache_clear()


@pytest.mark.usefixtures("asked_anew")
def test_what_it_cannot_run_is_refused_with_a_reason():
    call = make_call(EVERY["gru"], 3, 2, 2, 4)
    assert "bfloat16" in cpu.refuse(replace(call, weights=replace(call.weights, w_hh=call.weights.w_hh.bfloat16())))
    assert "empty" in cpu.refuse(replace(call, x=call.x[:0]))
    with mock.patch("tidegate.engines.cpu.team.openmp", return_value=None):
        assert "OpenMP" in cpu.refuse(call)
        assert choose.run(call).outputs.shape == (3, 2, 4)
        with pytest.raises(EngineError, match="OpenMP"):
            choose.run(call, "cpu")


def test_auto_takes_this_engine():
    assert [v.engine for v in choose.why(make_call(EVERY["gru"], 3, 2, 2, 4)) if v.chosen] == ["cpu"]


def test_sizes_that_do_not_fit_each_other_are_named():
    call = make_call(EVERY["gru"], 3, 2, 2, 4)
    with pytest.raises(ShapeError, match=r"`w_hh` of GRU must have shape \(12, 4\), got \(8, 4\)"):
        cpu.run(replace(call, weights=replace(call.weights, w_hh=call.weights.w_hh[:8])))
