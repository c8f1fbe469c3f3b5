"""Repeated calls of linear_cross_entropy: the bits of the first call, and every change between calls is noticed."""

import threading

import pytest
import torch
from tests.engines.cpu.memory import poisoned
from torch import Tensor
from torch.autograd import forward_ad

import tidegate
from tidegate.engines import autograd
from tidegate.errors import ArgumentError, EngineError, IndicesError
from tidegate.nn import loss, loss_form

SIZES = [(1, 1, 1), (3, 5, 7), (17, 33, 16), (70, 40, 33), (420, 48, 100)]


@pytest.fixture(autouse=True)
def no_form_is_known(monkeypatch):
    monkeypatch.setattr(loss, "known", {})


@pytest.fixture
def repeated(monkeypatch) -> list:
    """The calls of a known form."""
    found: list = []
    run = loss_form.LossForm.run
    monkeypatch.setattr(loss_form.LossForm, "run", lambda self, ts: found.append(1) or run(self, ts))
    return found


def tensors(rows: int, H: int, V: int, dtype=torch.float32) -> list[Tensor]:
    return [
        torch.randn(rows, H, dtype=dtype, requires_grad=True),
        (torch.randn(V, H, dtype=dtype) / H**0.5).requires_grad_(),
        torch.randn(V, dtype=dtype, requires_grad=True),
        torch.randint(V, (rows,)),
    ]


def results(x, weight, bias, target, **options) -> list[Tensor]:
    """The loss, and 3 times the gradients where one is required."""
    found = tidegate.linear_cross_entropy(x, weight, bias, target, **options)
    wanted = [t for t in (x, weight, bias) if t is not None and t.requires_grad]
    return [found, *(torch.autograd.grad(3 * found, wanted) if found.requires_grad else ())]


def check(repeated: list, *given, **options) -> None:
    """Three calls, of which the last two have a known form, on memory full of NaN."""
    expected = results(*given, **options)
    assert not repeated
    for _ in range(2):
        with poisoned(), pytest.MonkeyPatch.context() as patch:
            patch.setattr(autograd, "replayed", lambda *_: pytest.fail("a backward pass was replayed"))
            found = results(*given, **options)
        for a, b in zip(found, expected, strict=True):
            assert torch.allclose(a, b, rtol=0, atol=0, equal_nan=True)
            assert a.stride() == b.stride()
    assert len(repeated) == 2
    repeated.clear()
    loss.known.clear()


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_repeated_calls_have_the_bits_of_the_first(sizes, dtype, reduction, repeated):
    x, weight, bias, target = tensors(*sizes, dtype)
    for b in (bias, None):
        check(repeated, x, weight, b, target, reduction=reduction)
        check(
            repeated, x, weight, b, target, reduction=reduction, ignore_index=int(target[0]) if len(target) > 1 else 0
        )
        with torch.no_grad():
            check(repeated, x, weight, b, target, reduction=reduction)


def test_frozen_tensors_have_no_gradient(repeated):
    for frozen in range(3):
        given = tensors(13, 9, 11)
        given[frozen].requires_grad_(False)
        check(repeated, *given)


def test_inputs_of_more_dimensions_and_strides(repeated):
    _, weight, bias, _ = tensors(1, 6, 9)
    wide, target = torch.randn(4, 13, 12), torch.randint(9, (4, 13))
    check(repeated, wide[..., :6].detach().requires_grad_(), weight, bias, target)
    check(repeated, wide[0, :, :6].detach().requires_grad_(), weight, bias, target[0])
    check(repeated, wide[0, 0, :6].detach().requires_grad_(), weight, bias, target[0, 0])


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_large_calls(threads, repeated):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        check(repeated, *tensors(700, 130, 300))
    finally:
        torch.set_num_threads(before)


def test_inputs_that_rows_cannot_share_memory_with_are_computed_as_before(repeated):
    x, weight, bias = torch.randn(13, 4, 6).transpose(0, 1), *tensors(1, 6, 9)[1:3]
    target = torch.randint(9, (4, 13))
    first = results(x, weight, bias, target)
    for given in ((x, target), (x, target.to(torch.int32)), (x.contiguous(), target.t().contiguous().t())):
        for _ in range(3):
            for a, b in zip(results(given[0], weight, bias, given[1]), first, strict=True):
                assert torch.equal(a, b)
    assert not repeated


def test_tensors_are_never_stale(repeated):
    x, weight, bias, target = tensors(9, 6, 5)
    results(x, weight, bias, target)
    with torch.no_grad():
        weight.mul_(2)
    bias.data = bias.data + 1
    target.copy_(target.flip(0))
    other = x.detach().clone().requires_grad_()
    found = results(other, weight, bias, target)
    assert len(repeated) == 1
    loss.known.clear()
    for a, b in zip(found, results(other, weight, bias, target), strict=True):
        assert torch.equal(a, b)


def test_a_wrong_target_after_right_ones_has_the_same_error(repeated):
    x, weight, bias, target = tensors(9, 6, 5)
    results(x, weight, bias, target)
    for value in (5, -1):
        wrong = target.clone()
        wrong[3] = value
        with pytest.raises(IndicesError) as error:
            results(x, weight, bias, wrong)
        loss.known.clear()
        with pytest.raises(IndicesError) as expected:
            results(x, weight, bias, wrong)
        assert str(error.value) == str(expected.value)
        results(x, weight, bias, target)
    assert repeated


def test_arguments_of_other_kinds_are_refused_as_in_a_first_call(repeated):
    x, weight, bias, target = tensors(9, 6, 5)
    for b in (bias, None):
        results(x, weight, b, target)
    with pytest.raises(ArgumentError, match="`reduction` must be one of"):
        tidegate.linear_cross_entropy(x, weight, bias, target, reduction=["mean"])
    with pytest.raises(AttributeError):
        tidegate.linear_cross_entropy(x, weight, [0.0] * 5, target)
    tidegate.linear_cross_entropy(x, weight, bias, target, ignore_index=torch.tensor(-100))
    assert len(loss.known) == 2
    assert not repeated


def test_second_derivatives_batched_gradients_and_hooks(repeated):
    x, weight, bias, target = tensors(4, 3, 5, torch.float64)

    def call(x, weight, bias):
        return tidegate.linear_cross_entropy(x, weight, bias, target)

    call(x, weight, bias)
    assert torch.autograd.gradcheck(call, (x, weight, bias))
    assert torch.autograd.gradgradcheck(call, (x, weight, bias))
    assert repeated
    value = call(x, weight, bias)
    several = torch.autograd.grad(value, x, torch.tensor([1.0, 2.0]).double(), is_grads_batched=True)[0]
    assert torch.allclose(several[1], 2 * several[0])
    count = len(repeated)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t[:0]):
        value = call(x, weight, bias)
    with pytest.raises(EngineError, match="a hook of saved tensors"):
        value.backward()
    assert len(repeated) == count  # with hooks, the call is computed as before


# torch's own forward-mode formulas still script a function, which torch deprecates.
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is:DeprecationWarning")
def test_tangents_of_an_incoming_gradient_are_kept(repeated):
    x, weight, bias, target = tensors(9, 6, 5)
    for _ in range(3):
        value = tidegate.linear_cross_entropy(x, weight, bias, target)
        expected = torch.autograd.grad(value, x, retain_graph=True)[0]
        with forward_ad.dual_level():
            found = torch.autograd.grad(value, x, forward_ad.make_dual(torch.tensor(1.0), torch.tensor(2.0)))[0]
            plain, tangent = forward_ad.unpack_dual(found)
        assert torch.allclose(plain, expected, atol=1e-6)
        assert torch.allclose(tangent, 2 * expected, atol=1e-6)
    assert len(repeated) == 2


def test_changes_between_the_passes_are_noticed(repeated):
    x, weight, bias, target = tensors(9, 6, 5)
    results(x, weight, bias, target)
    value = tidegate.linear_cross_entropy(x, weight, bias, target)
    with torch.no_grad():
        weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()
    value = tidegate.linear_cross_entropy(x, weight, bias, target)
    expected = torch.autograd.grad(value, x, retain_graph=True)[0]
    weight.data = weight.data.t().contiguous().t()
    assert torch.allclose(torch.autograd.grad(value, x)[0], expected, atol=1e-6)


def test_modes_of_torch_take_the_other_route(repeated):
    x, weight, bias, target = tensors(9, 6, 5)
    first = results(x, weight, bias, target)[0].detach()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.allclose(tidegate.linear_cross_entropy(x, weight, bias, target), first, atol=0.05)
    batched = torch.func.vmap(lambda x: tidegate.linear_cross_entropy(x, weight, bias, target))(x.expand(2, 9, 6))
    assert torch.allclose(batched, first.expand(2))
    compiled = torch.compile(tidegate.linear_cross_entropy, backend="eager")
    assert torch.allclose(compiled(x, weight, bias, target), first)
    assert not repeated


def test_threads_call_it_side_by_side(repeated):
    x, weight, bias, target = tensors(50, 30, 40)
    batches, wrong = [torch.randn(50, 30, requires_grad=True) for _ in range(6)], []
    expected = []
    for x in batches:
        loss.known.clear()
        expected.append(results(x, weight, bias, target))

    def call(x: Tensor, expected: list[Tensor]) -> None:
        for _ in range(100):
            if not all(map(torch.equal, results(x, weight, bias, target), expected)):
                wrong.append(x)

    threads = [threading.Thread(target=call, args=pair) for pair in zip(batches, expected)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert repeated


def test_a_call_that_gives_one_tensor_twice_leaves_no_form(repeated):
    _, weight, bias, _ = tensors(1, 6, 9)
    target = torch.randint(9, (9,))
    for _ in range(3):
        results(weight, weight, bias, target)
        results(bias, torch.ones(9, 9), bias, target[0])
    assert not loss.known
    other = weight.detach().clone().requires_grad_()
    check(repeated, other, weight, bias, target)


def test_forms_keep_no_tensor_alive_and_their_number_is_bounded(repeated):
    before = tidegate.memory.usage().in_use
    given = tensors(400, 300, 400)
    for _ in range(3):
        results(*given)
    del given
    assert tidegate.memory.usage().in_use == before
    for rows in range(1, 300):
        results(*tensors(rows, 3, 4))
    assert len(loss.known) == 256
