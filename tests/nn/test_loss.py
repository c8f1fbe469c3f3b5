"""The linear layer with cross-entropy in one: against torch's two functions in float64, and where those must run."""

import math

import pytest
import torch
from tests.own_cell import Leaky
from torch.nn import functional as F

import tidegate
from tidegate.cells import CELLS
from tidegate.engines.cpu import linear_loss
from tidegate.engines.cpu.repeated_loss import RepeatedLoss
from tidegate.errors import ArgumentError, ArgumentTypeError, IndicesError, ShapeError
from tidegate.nn import Recurrent, loss

SIZES = [(1, 1, 1), (3, 5, 7), (17, 33, 16), (70, 40, 33), (420, 48, 100)]


@pytest.fixture
def kernels_called(monkeypatch):
    """How often our kernels compute a loss."""
    called, losses, run = [], linear_loss.losses, RepeatedLoss.run
    monkeypatch.setattr(linear_loss, "losses", lambda *a, **options: called.append(1) or losses(*a, **options))
    monkeypatch.setattr(RepeatedLoss, "run", lambda *a: called.append(1) or run(*a))
    return called


def tensors(rows: int, H: int, V: int, dtype=torch.float32):
    return (
        torch.randn(rows, H, dtype=dtype, requires_grad=True),
        (torch.randn(V, H, dtype=dtype) / H**0.5).requires_grad_(),
        torch.randn(V, dtype=dtype, requires_grad=True),
        torch.randint(V, (rows,)),
    )


def by_torch(x, weight, bias, target, **options):
    return F.cross_entropy(F.linear(x, weight, bias), target, **options)


def in_double(*given):
    return [None if t is None else t.detach().double().requires_grad_() for t in given]


def distance(found, expected) -> float:
    """The relative L2 distance."""
    return float((found.double() - expected).norm() / expected.norm().clamp(min=1e-30))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sizes", SIZES)
def test_loss_and_gradients_are_those_of_torch_in_float64(sizes, dtype, reduction):
    *given, target = tensors(*sizes, dtype)
    target[1::3] = -100
    found = tidegate.linear_cross_entropy(*given, target, reduction=reduction)
    wide = in_double(*given)
    expected = by_torch(*wide, target, reduction=reduction)
    cotangent = torch.randn(found.shape, dtype=torch.float64)
    limit = 2e-6 if dtype is torch.float32 else 1e-13
    assert found.dtype is dtype
    assert (found - expected).detach().abs().max() <= limit * (1 + expected.detach().abs().max())
    gradients = torch.autograd.grad(found, given, cotangent.to(dtype))
    for d, e in zip(gradients, torch.autograd.grad(expected, wide, cotangent.to(dtype).double())):
        assert d.shape == e.shape
        assert distance(d, e) <= limit if e.norm() > 1e-12 else d.norm() < 1e-5


def test_a_planted_error_is_found():
    x, weight, bias, target = tensors(33, 20, 9)
    found = linear_loss.losses(x.detach(), weight.detach(), bias.detach(), target, -100, keep=True)
    assert found.d is not None
    wide = in_double(x, weight, bias)
    expected = torch.autograd.grad(by_torch(*wide, target, reduction="sum"), wide[1])[0]

    def error(d):
        return distance(linear_loss.gradients(
            x.detach(), weight.detach(), d, 1.0, need_x=False, need_w=True, need_b=False
        )[1], expected)  # fmt: skip

    assert error(found.d) < 2e-6
    wrong = found.d.clone()
    wrong[7, 3] *= 1.01
    assert error(wrong) > 1e-5


@pytest.mark.parametrize("cell", [*CELLS, Leaky])
def test_behind_a_layer_of_any_cell_it_has_the_gradients_of_torch(cell, kernels_called):
    layer = Recurrent(CELLS.get(cell, cell), 5, 11, dtype=torch.float64)
    head = torch.nn.Linear(11, 7, dtype=torch.float64)
    x, target = torch.randint(5, (6, 3)), torch.randint(7, (6, 3))
    target[4:, 1] = -1
    everything = [*layer.parameters(), *head.parameters()]
    outputs = layer(x)[0]
    found = tidegate.linear_cross_entropy(outputs, head.weight, head.bias, target, ignore_index=-1)
    expected = F.cross_entropy(head(layer(x)[0]).flatten(0, 1), target.flatten(), ignore_index=-1)
    assert kernels_called
    torch.testing.assert_close(found, expected)
    for d, e in zip(torch.autograd.grad(found, everything), torch.autograd.grad(expected, everything)):
        torch.testing.assert_close(d, e)


def test_without_biases_and_with_strided_inputs():
    x = torch.randn(13, 4, 9).transpose(0, 1)[..., ::2].requires_grad_()
    weight, target = torch.randn(5, 6).t()[:, ::1].t()[:, 1:].contiguous().requires_grad_(), torch.randint(5, (4, 13))
    wide = in_double(x, weight)
    found = tidegate.linear_cross_entropy(x, weight, None, target)
    expected = by_torch(wide[0].flatten(0, 1), wide[1], None, target.flatten())
    for d, e in zip(torch.autograd.grad(found, (x, weight)), torch.autograd.grad(expected, wide)):
        assert distance(d, e) < 2e-6


def test_the_bits_do_not_depend_on_the_number_of_threads():
    given, threads, found = tensors(1500, 64, 40), torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            value = tidegate.linear_cross_entropy(*given)
            found.append((value, *torch.autograd.grad(value, given[:3])))
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other))


def test_ignored_rows_have_no_loss_and_no_gradient_whatever_they_hold():
    x, weight, bias, target = tensors(9, 6, 5)
    target[4] = 2
    others = target != 2
    with torch.no_grad():
        x[4] = 1e30
    found = tidegate.linear_cross_entropy(x, weight, bias, target, ignore_index=2)
    expected = by_torch(x[others], weight, bias, target[others])
    torch.testing.assert_close(found, expected)
    d = torch.autograd.grad(found, x)[0]
    assert not d[~others].any()


def test_if_all_rows_are_ignored_the_mean_is_nan_and_its_gradients_are_zero_as_in_torch():
    *given, target = tensors(4, 6, 5)
    target[:] = -100
    for function in (tidegate.linear_cross_entropy, by_torch):
        found = function(*given, target)
        assert found.isnan()
        assert not any(d.any() for d in torch.autograd.grad(found, given))
    assert tidegate.linear_cross_entropy(*given, target, reduction="sum") == 0


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_not_finite_makes_the_loss_of_its_row_nan(value):
    x, weight, bias, target = tensors(8, 6, 20)
    with torch.no_grad():
        x[3, 2] = value
    kept = linear_loss.losses(x.detach(), weight.detach(), bias.detach(), target, -100, keep=True)
    assert kept.losses.isnan().tolist() == [row == 3 for row in range(8)]
    assert tidegate.linear_cross_entropy(x, weight, bias, target).isnan()


def test_large_scores_do_not_overflow():
    x = torch.tensor([[3e4, -3e4, 0.0]])
    found = [tidegate.linear_cross_entropy(x, torch.eye(3), None, torch.tensor([t])) for t in range(3)]
    assert [float(t) for t in found] == [0.0, 6e4, 3e4]


@pytest.mark.parametrize("wrong", [7, -1])
def test_a_target_that_is_no_class_is_an_error(wrong):
    *given, target = tensors(5, 6, 7)
    target[2] = wrong
    with pytest.raises(IndicesError, match=r"`target` must be class indices in 0..6 .*or `ignore_index` = -100, got"):
        tidegate.linear_cross_entropy(*given, target)


def test_arguments_that_do_not_fit_are_named():
    x, weight, bias, target = tensors(5, 6, 7)
    with pytest.raises(ShapeError, match=r"`x` must be \(..., H\) and `weight` \(V, H\), got \(5, 6\) and \(6, 7\)"):
        tidegate.linear_cross_entropy(x, weight.t(), bias, target)
    with pytest.raises(ShapeError, match=r"`bias` must have shape \(V,\) = \(7,\), got \(6,\)"):
        tidegate.linear_cross_entropy(x, weight, bias[:6], target)
    with pytest.raises(ShapeError, match=r"`target` must have the shape of `x` without its last dimension, \(5,\)"):
        tidegate.linear_cross_entropy(x, weight, bias, target[:4])
    with pytest.raises(ArgumentTypeError, match=r"`target` must be class indices, integers, got torch\.float32"):
        tidegate.linear_cross_entropy(x, weight, bias, target.float())
    with pytest.raises(ArgumentError, match="`reduction` must be one of mean, sum, none, got 'total'"):
        tidegate.linear_cross_entropy(x, weight, bias, target, reduction="total")  # type: ignore[arg-type]


def test_torchs_functions_run_where_our_kernels_cannot(kernels_called):
    x, weight, bias, target = tensors(5, 6, 7)
    assert loss.refuse([x, weight, target, bias]) is None
    narrow = [t.detach().bfloat16() for t in (x, weight, bias)]
    assert torch.equal(tidegate.linear_cross_entropy(*narrow, target), by_torch(*narrow, target))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(tidegate.linear_cross_entropy(x, weight, bias, target), by_torch(x, weight, bias, target))

    def of_weight(function):
        return torch.func.grad(lambda w: function(x.detach(), w, bias.detach(), target))(weight.detach())

    torch.testing.assert_close(of_weight(tidegate.linear_cross_entropy), of_weight(by_torch))
    assert not kernels_called


def test_second_derivatives():
    given = [t.detach().requires_grad_() for t in tensors(4, 3, 5, torch.float64)[:3]]
    target = torch.tensor([0, 4, -100, 2])
    assert torch.autograd.gradgradcheck(lambda *a: tidegate.linear_cross_entropy(*a, target), given)


def test_one_tensor_in_two_roles_has_both_gradients():
    x, target = torch.randn(6, 6, requires_grad=True), torch.randint(6, (6,))
    found = torch.autograd.grad(tidegate.linear_cross_entropy(x, x, None, target), x)[0]
    torch.testing.assert_close(found, torch.autograd.grad(by_torch(x, x, None, target), x)[0])


def test_a_weight_that_was_changed_before_the_backward_pass_is_an_error():
    *given, target = tensors(5, 6, 7)
    found = tidegate.linear_cross_entropy(*given, target)
    with torch.no_grad():
        given[1].add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        found.backward()


def test_a_backward_pass_can_be_repeated():
    *given, target = tensors(5, 6, 7)
    found = tidegate.linear_cross_entropy(*given, target)
    first = torch.autograd.grad(found, given, retain_graph=True)
    assert all(torch.equal(a, b) for a, b in zip(first, torch.autograd.grad(found, given)))


def test_only_the_gradients_that_are_needed_are_computed():
    x, weight, bias, target = tensors(5, 6, 7)
    found = tidegate.linear_cross_entropy(x.detach(), weight, bias.detach(), target)
    torch.testing.assert_close(
        torch.autograd.grad(found, weight), torch.autograd.grad(by_torch(x, weight, bias, target), weight)
    )
    with torch.no_grad():
        assert not tidegate.linear_cross_entropy(x, weight, bias, target).requires_grad


def test_a_default_device_of_the_program_has_no_effect():
    *given, target = tensors(5, 6, 7)
    expected = tidegate.linear_cross_entropy(*given, target)
    gradients = torch.autograd.grad(expected, given)
    with torch.device("meta"):
        found = tidegate.linear_cross_entropy(*given, target)
        assert torch.equal(found, expected)
        assert all(map(torch.equal, torch.autograd.grad(found, given), gradients))
