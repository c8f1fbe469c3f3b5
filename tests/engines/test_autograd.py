"""Calls differentiated once, twice and in blocks, with a kept graph, repeated, in threads and in a forked child."""

import os
import signal
import threading
from dataclasses import replace

import pytest
import torch
from tests.engines.cpu.calls import EVERY, in_double, leaves, make_call, run, same_bits
from torch.utils.checkpoint import checkpoint

import tidegate
from tidegate.calculus import trace
from tidegate.engines import cpu, eager
from tidegate.engines.cpu import kernels
from tidegate.errors import ShapeError

pytestmark = pytest.mark.usefixtures("poisoned")


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


def test_inputs_need_not_be_contiguous():
    call = make_call(EVERY["gru"], 6, 5, 4, 20)
    odd = replace(
        call,
        x=call.x.detach().transpose(0, 1).contiguous().transpose(0, 1).requires_grad_(),
        weights=replace(call.weights, w_hh=call.weights.w_hh.detach().t().contiguous().t().requires_grad_()),
    )
    d = torch.ones(()).expand(6, 5, 20)
    for a, b in zip(*(torch.autograd.grad(cpu.run(c).outputs, list(leaves(c).values()), d) for c in (call, odd))):
        assert same_bits(a.contiguous(), b.contiguous())


@pytest.mark.parametrize("reverse", [False, True])
def test_changing_outputs_in_place_before_backward_does_not_change_gradients(reverse):
    call = make_call(EVERY["lstm"], 3, 2, 2, 4, reverse=reverse)
    inputs = list(leaves(call).values())
    expected = torch.autograd.grad(cpu.run(call).outputs.mul(2).sum(), inputs)
    for change in (lambda y: y.mul_(2), lambda y: (y.detach().zero_(), 2 * y)[1]):
        y = cpu.run(call).outputs
        found = torch.autograd.grad(change(y).sum(), inputs)
        assert all(same_bits(a, b) for a, b in zip(found, expected))


def test_outputs_and_states_are_not_views():
    for call in (make_call(EVERY["gru"], 3, 2, 2, 4), make_call(EVERY["lstm"], 3, 2, 2, 4, lengths=True)):
        result = cpu.run(call)
        for t in (result.outputs, *result.states):
            assert not t._is_view()
            t.detach_()


@pytest.mark.parametrize("recompute", [False, True])
def test_tied_parameters_have_the_right_gradients_with_create_graph(recompute):
    call = in_double(make_call(EVERY["gru"], 4, 3, 5, 5))
    shared = call.weights.w_ih.detach().clone().requires_grad_()
    bias = call.weights.b_ih.detach().clone().requires_grad_()
    tied = replace(call, weights=replace(call.weights, w_ih=shared, w_hh=shared, b_ih=bias, b_hh=bias))
    for engine in (cpu, eager):
        y = engine.run(replace(tied, recompute=recompute)).outputs.square().sum()
        once = torch.autograd.grad(y, (shared, bias), retain_graph=True)
        again = torch.autograd.grad(y, (shared, bias), create_graph=True)
        assert all(torch.allclose(a, b) for a, b in zip(once, again))


@pytest.mark.parametrize("mask", ["lengths", "resets"])
def test_changing_lengths_and_resets_after_the_call_has_no_effect(mask):
    call = in_double(make_call(EVERY["gru"], 6, 3, 2, 5, **{mask: True}))
    inputs = list(leaves(call).values())
    for recompute in (False, True):
        y = cpu.run(replace(call, recompute=recompute)).outputs.sum()
        expected = torch.autograd.grad(y, inputs, retain_graph=True)
        before = getattr(call, mask).clone()
        getattr(call, mask).zero_()
        found = torch.autograd.grad(y, inputs, create_graph=True)
        getattr(call, mask).copy_(before)
        assert all(torch.allclose(a, b) for a, b in zip(found, expected))


@pytest.mark.parametrize("use_reentrant", [False, True])
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_activation_checkpointing_gives_the_same_gradients(kind, recompute, use_reentrant):
    layer = getattr(tidegate, kind)(4, 8, 2, engine="cpu", recompute=recompute)
    x = torch.randn(9, 2, 4, requires_grad=True)
    inputs = [x, *layer.parameters()]
    expected = torch.autograd.grad(layer(x)[0].square().sum(), inputs)
    for _ in range(3):  # calls of a known form too
        for p in inputs:
            p.grad = None
        checkpoint(lambda q: layer(q)[0], x, use_reentrant=use_reentrant).square().sum().backward()
        for p, g in zip(inputs, expected):
            assert torch.allclose(p.grad, g, atol=1e-6)
        layer(x)[0].sum().backward()


@pytest.mark.parametrize("kind", ["RNNCell", "GRUCell", "LSTMCell"])
def test_activation_checkpointing_of_single_steps(kind):
    cell = getattr(tidegate, kind)(4, 8)
    x = torch.randn(2, 4, requires_grad=True)

    def state(q):
        found = cell(q)
        return found[0] if isinstance(found, tuple) else found

    inputs = [x, *cell.parameters()]
    found = [torch.autograd.grad(checkpoint(state, x, use_reentrant=False).sum(), inputs) for _ in range(3)]
    expected = torch.autograd.grad(state(x).sum(), inputs)
    for gradients in found:
        assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(gradients, expected))


@pytest.mark.parametrize("recompute", [False, True])
def test_hooks_of_saved_tensors_see_each_tensor_once(recompute):
    call = replace(make_call(EVERY["lstm"], 9, 2, 4, 8), recompute=recompute)
    packed, unpacked = [], []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: packed.append(t) or len(packed) - 1, lambda i: unpacked.append(i) or packed[i]
    ):
        y = cpu.run(call).outputs
    torch.autograd.grad(y, list(leaves(call).values()), torch.ones_like(y))
    assert sorted(unpacked) == list(range(len(packed)))


def test_a_graph_can_be_kept_and_used_twice():
    call = make_call(EVERY["lstm"], 5, 3, 4, 16)
    inputs, y = list(leaves(call).values()), cpu.run(call).outputs.sum()
    first = torch.autograd.grad(y, inputs, retain_graph=True)
    cpu.run(call)
    second = torch.autograd.grad(y, inputs)
    assert all(same_bits(a, b) for a, b in zip(first, second))


def test_concurrent_calls_in_several_threads_get_their_own_results():
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


def test_concurrent_calls_compile_one_kernel():
    kernels.forward_kernel.cache_clear()
    options = {"save": True, "ragged": False, "traced": False}
    together, made = threading.Barrier(4), []

    def work() -> None:
        together.wait()
        made.append(kernels.forward_kernel(trace(EVERY["rnn"]), kernels.here(), "float", **options))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(made) == 4
    assert all(kernel is made[0] for kernel in made)


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


def test_sizes_that_do_not_fit_each_other_are_named():
    call = make_call(EVERY["gru"], 3, 2, 2, 4)
    with pytest.raises(ShapeError, match=r"`w_hh` of GRU must have shape \(12, 4\), got \(8, 4\)"):
        cpu.run(replace(call, weights=replace(call.weights, w_hh=call.weights.w_hh[:8])))
