"""Clipping and update: against torch's functions, and where those must run."""

import gc
import math
import weakref
from dataclasses import dataclass

import pytest
import torch
from torch.autograd import forward_ad
from torch.nn.utils import clip_grad_norm_
from torch.optim import SGD, AdamW

import tidegate
from tidegate.engines.cpu import update as kernels
from tidegate.errors import ArgumentError, DivergenceError
from tidegate.train import update
from tidegate.train.update import gradient_norm, update_on_kernels

SIZES = [(1,), (7, 5), (4096,), (4097,), (33, 130)]


def twins(dtype=torch.float32):
    """Two lists of equal parameters."""
    values = [torch.randn(size, dtype=dtype) for size in SIZES]
    return [[torch.nn.Parameter(value.clone()) for value in values] for _ in range(2)]


def set_gradients(*lists, factor=1.0):
    for same in zip(*lists):
        gradient = factor * torch.randn_like(same[0])
        for parameter in same:
            parameter.grad = gradient.clone()


def optimisers(kind, ours, torchs, **options):
    return [kind(parameters, lr=0.05, **options) for parameters in (ours, torchs)]


@pytest.mark.parametrize("max_norm", [0.1, 1e4])
@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize(("kind", "options"), [(SGD, {}), (AdamW, {}), (AdamW, {"betas": (0.8, 0.99), "eps": 1e-3})])
def test_it_is_torchs_clipping_and_step(kind, options, decay, max_norm):
    ours, torchs = twins()
    a, b = optimisers(kind, ours, torchs, weight_decay=decay, **options)
    for k in range(4):
        set_gradients(ours, torchs, factor=k + 1)
        norm = tidegate.clip_and_step(a, max_norm)
        expected = clip_grad_norm_(torchs, max_norm)
        b.step()
        torch.testing.assert_close(norm, expected)
        torch.testing.assert_close(ours, torchs, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close([p.grad for p in ours], [p.grad for p in torchs], rtol=1e-5, atol=1e-6)
    states = a.state_dict(), b.state_dict()
    assert states[0]["param_groups"] == states[1]["param_groups"]
    torch.testing.assert_close(states[0]["state"], states[1]["state"], rtol=1e-5, atol=1e-7)


def test_our_kernels_made_these_steps(monkeypatch):
    ours, torchs = twins()
    called, run = [], kernels.Update.run
    monkeypatch.setattr(kernels.Update, "run", lambda self, *a, **k: called.append(1) or run(self, *a, **k))
    for kind, first in ((SGD, 0), (AdamW, 1)):  # torch makes AdamW's state in its first step
        called.clear()
        a, _ = optimisers(kind, ours, torchs)
        for _ in range(3):
            set_gradients(ours)
            tidegate.clip_and_step(a, 1.0)
        assert len(called) == 3 - first


@pytest.fixture
def made(monkeypatch) -> list:
    """The updates whose arguments were collected."""
    found: list = []
    init = update.KernelUpdate.__init__
    monkeypatch.setattr(update.KernelUpdate, "__init__", lambda self, *a: found.append(a) or init(self, *a))
    return found


@pytest.mark.parametrize("kind", [SGD, AdamW])
def test_repeated_calls_use_the_tensors_of_now(kind, made):
    """Arguments are collected once; everything that may change between two calls is that of the last."""
    ours, torchs = twins()
    a, b = optimisers(kind, ours, torchs)

    def step(expected_updates: int, factor: float = 1.0) -> None:
        set_gradients(ours, torchs, factor=factor)
        made.clear()
        norm = tidegate.clip_and_step(a, 1.0)
        torch.testing.assert_close(norm, clip_grad_norm_(torchs, 1.0))
        b.step()
        torch.testing.assert_close(ours, torchs, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close([p.grad for p in ours], [p.grad for p in torchs], rtol=1e-5, atol=1e-6)
        assert len(made) == expected_updates

    tidegate_state = kind is AdamW
    step(0 if tidegate_state else 1)  # torch makes AdamW's state in its first step
    step(1 if tidegate_state else 0)
    for factor in (3.0, 0.01, 5.0):
        step(0, factor)
    for group in (*a.param_groups, *b.param_groups):
        group["lr"], group["weight_decay"] = 0.01, 0.3
    step(0)
    for p, q in zip(ours, torchs):
        p.data, q.data = 2 * p.data, 2 * q.data  # other memory
    step(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(3 - min(threads, 2))
    try:
        step(1)
    finally:
        torch.set_num_threads(threads)
    step(1)
    for optimizer in (a, b):
        optimizer.load_state_dict(optimizer.state_dict())
    step(1)  # other groups
    step(0)
    for p in (ours[1], torchs[1]):
        p.data = p.data.t().contiguous().t()
    set_gradients(ours, torchs)
    made.clear()
    tidegate.clip_and_step(a, 1.0)
    clip_grad_norm_(torchs, 1.0)
    b.step()
    torch.testing.assert_close(ours, torchs, rtol=1e-5, atol=1e-6)
    assert not made  # transposed parameters are updated by torch


@pytest.mark.parametrize("kind", [SGD, AdamW])
def test_gradients_may_come_and_go(kind, made):
    ours, torchs = twins()
    a, b = optimisers(kind, ours, torchs)
    for absent in (None, 1, 1, 4, None, 0, None, None):
        set_gradients(ours, torchs)
        if absent is not None:
            ours[absent].grad = torchs[absent].grad = None
        tidegate.clip_and_step(a, 1.0)
        clip_grad_norm_(torchs, 1.0)
        b.step()
        torch.testing.assert_close(ours, torchs, rtol=1e-5, atol=1e-6)
    assert made


class Halves(SGD):
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.data.mul_(0.5)


def test_an_optimiser_of_another_class_since_the_last_call_makes_its_own_step():
    ours, _ = twins()
    a = SGD(ours, lr=0.1)
    for _ in range(3):
        set_gradients(ours)
        tidegate.clip_and_step(a, 1.0)
    before = [p.detach() / 2 for p in ours]
    a.__class__ = Halves
    tidegate.clip_and_step(a, 1.0)
    assert all(map(torch.equal, before, ours))


@dataclass
class Wrapper:
    """An optimiser around another, which has no hash."""

    inner: SGD

    @property
    def param_groups(self):
        return self.inner.param_groups

    def step(self):
        self.inner.step()


def test_an_optimiser_without_a_hash_makes_its_own_step():
    ours, torchs = twins()
    a, b = optimisers(SGD, ours, torchs)
    for optimizer in (a, a, Wrapper(a)):
        set_gradients(ours, torchs)
        tidegate.clip_and_step(optimizer, 1.0)
        clip_grad_norm_(torchs, 1.0)
        b.step()
        torch.testing.assert_close(ours, torchs, rtol=1e-5, atol=1e-6)


# torch's own forward-mode formulas still script a function, which torch deprecates.
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is:DeprecationWarning")
def test_forward_mode_tangents_are_clipped_and_stepped_as_in_the_first_call():
    found = []
    for known in (False, True):
        p = torch.nn.Parameter(torch.ones(5))
        a = SGD([p], lr=0.1, weight_decay=1.0)
        for _ in range(3 * known):
            p.grad = torch.zeros(5)
            tidegate.clip_and_step(a, 1.0)
        with forward_ad.dual_level():
            p.grad = forward_ad.make_dual(torch.ones(5), torch.arange(5.0))
            tidegate.clip_and_step(a, 100.0)
            found.append(forward_ad.unpack_dual(p).tangent)
    torch.testing.assert_close(found, [-0.1 * torch.arange(5.0)] * 2)


def test_no_gradient_and_no_optimiser_is_kept_alive():
    ours, _ = twins()
    a = SGD(ours, lr=0.1)
    for _ in range(3):
        set_gradients(ours)
        tidegate.clip_and_step(a, 1.0)
    gradients = [weakref.ref(p.grad) for p in ours]
    for p in ours:
        p.grad = None
    assert not any(g() is not None for g in gradients)
    parameters, optimiser = [weakref.ref(p) for p in ours], weakref.ref(a)
    ours.clear()
    del a, p
    gc.collect()
    assert optimiser() is None
    assert not any(p() is not None for p in parameters)


def test_after_an_error_the_next_call_is_right():
    ours, torchs = twins()
    a, b = optimisers(SGD, ours, torchs)
    for factor in (1.0, float("inf"), 1.0):
        set_gradients(ours, torchs, factor=factor)
        if factor == 1.0:
            tidegate.clip_and_step(a, 1.0)
            clip_grad_norm_(torchs, 1.0)
            b.step()
        else:
            with pytest.raises(DivergenceError):
                tidegate.clip_and_step(a, 1.0, error_if_nonfinite=True)
        torch.testing.assert_close(ours, torchs, rtol=1e-5, atol=1e-6)


def test_groups_have_their_own_settings():
    ours, torchs = twins()
    a, b = (
        AdamW([{"params": p[:2], "lr": 0.1, "weight_decay": 0.2}, {"params": p[2:], "lr": 0.01}])
        for p in (ours, torchs)
    )
    for _ in range(3):
        set_gradients(ours, torchs)
        ours[1].grad = torchs[1].grad = None
        tidegate.clip_and_step(a, 0.5)
        clip_grad_norm_(torchs, 0.5)
        b.step()
    torch.testing.assert_close(ours, torchs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_norm_is_that_of_all_gradients_with_the_same_bits_on_any_number_of_threads(dtype):
    gradients = [torch.randn(size, dtype=dtype) for size in (*SIZES, (300, 301))]
    expected = float(torch.cat([g.double().flatten() for g in gradients]).norm())
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found.append(kernels.norm(gradients))
    finally:
        torch.set_num_threads(threads)
    assert len(set(found)) == 1
    assert found[0] == pytest.approx(expected, rel=1e-6 if dtype is torch.float32 else 1e-14)


def test_a_gradient_that_is_left_out_changes_the_norm():
    gradients = [torch.randn(size) for size in SIZES]
    assert kernels.norm(gradients[1:]) != pytest.approx(kernels.norm(gradients), rel=1e-6)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_has_the_effect_that_it_has_in_torch(value):
    ours, torchs = twins()
    a, b = optimisers(SGD, ours, torchs)
    set_gradients(ours, torchs)
    ours[1].grad[2, 3] = torchs[1].grad[2, 3] = value
    before = [p.detach().clone() for p in ours]
    with pytest.raises(DivergenceError, match=r"the gradient norm is (nan|inf). Nothing was changed."):
        tidegate.clip_and_step(a, 1.0, error_if_nonfinite=True)
    assert all(torch.equal(p, q) for p, q in zip(ours, before))
    norm = tidegate.clip_and_step(a, 1.0)
    clip_grad_norm_(torchs, 1.0)
    b.step()
    assert not norm.isfinite()
    torch.testing.assert_close(ours, torchs, equal_nan=True)


def test_a_changed_parameter_has_a_new_version_so_that_autograd_notices():
    p = torch.nn.Parameter(torch.randn(5))
    square = (p * p).sum()
    p.grad = torch.ones(5)
    update_on_kernels(SGD([p], lr=0.1)).step(1.0, 10.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        square.backward()


@pytest.mark.parametrize(
    "make",
    [
        lambda p: SGD(p, lr=0.1, momentum=0.9),
        lambda p: SGD(p, lr=0.1, maximize=True),
        lambda p: AdamW(p, lr=0.1, amsgrad=True),
        lambda p: AdamW(p, lr=torch.tensor(0.1)),
        lambda p: torch.optim.RMSprop(p, lr=0.1),
    ],
)
def test_torch_makes_the_step_where_our_kernels_have_no_such_setting(make):
    ours, torchs = twins()
    a, b = make(ours), make(torchs)
    for _ in range(2):
        set_gradients(ours, torchs)
        assert update_on_kernels(a) is None
        tidegate.clip_and_step(a, 0.5)
        clip_grad_norm_(torchs, 0.5)
        b.step()
    torch.testing.assert_close(ours, torchs, rtol=1e-5, atol=1e-6)


def test_hooks_and_schedulers_see_every_step():
    ours, _ = twins()
    optimizer, seen = SGD(ours, lr=1.0), []
    optimizer.register_step_post_hook(lambda *_: seen.append(1))
    set_gradients(ours)
    tidegate.clip_and_step(optimizer, 1.0)
    assert seen
    scheduled = SGD(ours, lr=1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(scheduled, 1, 0.5)
    tidegate.clip_and_step(scheduled, 1.0)
    scheduler.step()  # would warn that the optimiser made no step
    assert scheduler.get_last_lr() == [0.5]


def test_parameters_that_the_kernels_cannot_read_are_updated_by_torch():
    for p in (torch.nn.Parameter(torch.randn(4, 6).t()), torch.nn.Parameter(torch.randn(5).bfloat16())):
        before, optimizer = p.detach().clone(), SGD([p], lr=0.1)
        p.grad = torch.ones_like(p)
        assert update_on_kernels(optimizer) is None
        tidegate.clip_and_step(optimizer, 1e3)
        torch.testing.assert_close(p.detach(), before - 0.1)


def test_without_gradients_the_norm_is_zero_and_nothing_changes():
    ours, torchs = twins()
    assert gradient_norm(ours) == 0
    assert tidegate.clip_and_step(SGD(ours, lr=0.1), 1.0) == 0
    assert all(torch.equal(p, q) for p, q in zip(ours, torchs))


@pytest.mark.parametrize("kind", [SGD, AdamW])
def test_a_compiled_program_calls_it(kind):
    ours, torchs = twins()
    a, b = optimisers(kind, ours, torchs)

    def step(x):
        norm = tidegate.clip_and_step(a, 1.0)
        return x + norm

    compiled = torch.compile(step, backend="eager")
    for _ in range(3):
        set_gradients(ours, torchs)
        found = compiled(torch.ones(2))
        torch.testing.assert_close(found, 1 + clip_grad_norm_(torchs, 1.0).expand(2))
        b.step()
        torch.testing.assert_close(ours, torchs, rtol=1e-5, atol=1e-6)


def test_a_limit_that_is_not_positive_is_an_error():
    with pytest.raises(ArgumentError, match=r"`max_norm` must be a positive number, got 0\."):
        update.clip_and_step(SGD(twins()[0], lr=0.1), 0)


# -- the same update in many steps -------------------------------------------------------------------------------------


def other_settings(optimizer):
    optimizer.param_groups[0]["lr"] = torch.tensor(0.1)


def with_a_hook(optimizer):
    optimizer.register_step_post_hook(lambda *_: None)


def another_parameter(optimizer):
    p = torch.nn.Parameter(torch.randn(3))
    p.grad = torch.randn(3)
    optimizer.state[p] = {"exp_avg": torch.zeros(3), "exp_avg_sq": torch.zeros(3), "step": torch.tensor(1.0)}
    optimizer.add_param_group({"params": [p]})


def one_gradient_less(optimizer):
    optimizer.param_groups[0]["params"][1].grad = None


def another_gradient(optimizer):
    p = optimizer.param_groups[0]["params"][1]
    p.grad = p.grad.clone()


def loaded(optimizer):
    optimizer.load_state_dict(optimizer.state_dict())


def moved_average(optimizer):
    average = optimizer.state[optimizer.param_groups[0]["params"][1]]["exp_avg"]
    average.data = average.data.clone()


def other_step(optimizer):
    optimizer.state[optimizer.param_groups[0]["params"][1]]["step"] += 1


@pytest.mark.parametrize(
    "change",
    [
        other_settings,
        with_a_hook,
        another_parameter,
        one_gradient_less,
        another_gradient,
        loaded,
        moved_average,
        other_step,
    ],
)
def test_a_recorded_update_notices_what_has_changed(change):
    ours, _ = twins()
    optimizer = AdamW(ours, lr=0.1)
    set_gradients(ours)
    optimizer.step()
    recorded = update.RecordedUpdate.of(optimizer, [])
    for _ in range(3):
        assert recorded.fits()
        recorded.update.step(1.0, 1.0)
        optimizer.param_groups[0]["lr"] *= 0.9
    change(optimizer)
    assert not recorded.fits()


@pytest.mark.parametrize("kind", [SGD, AdamW])
def test_recorded_updates_are_those_that_are_made_anew(kind):
    ours, others = twins()
    a, b = optimisers(kind, ours, others, weight_decay=0.1)
    set_gradients(ours, others)
    for optimizer in (a, b):
        optimizer.step()
    recorded = update.RecordedUpdate.of(a, [])
    for k in range(4):
        with torch.no_grad():
            for p, q in zip(ours, others):
                p.grad.normal_()
                q.grad.copy_(p.grad)
        a.param_groups[0]["lr"] = b.param_groups[0]["lr"] = 0.1 / (k + 1)
        assert recorded.fits()
        recorded.update.step(3.0, 1.0)
        update_on_kernels(b).step(3.0, 1.0)
        assert all(torch.equal(p, q) and torch.equal(p.grad, q.grad) for p, q in zip(ours, others))
        assert str(a.state_dict()) == str(b.state_dict())
