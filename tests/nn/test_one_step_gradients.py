"""Gradients of calls of one step on the short route: the bits of the general route, to any order."""

import pytest
import torch
from tests.engines.cpu.memory import poisoned
from tests.nn.test_one_step import D, H, each_cell, general_route, leaves, no_form_is_known, random_state, short_calls
from torch import Tensor, nn

import tidegate

__all__ = ["no_form_is_known", "short_calls"]  # fixtures


def state(module: nn.Module, *size: int, dtype: torch.dtype, grad: bool):
    return torch.utils._pytree.tree_map(lambda t: t.to(dtype).requires_grad_(grad), random_state(module, *size))


def gradients(module: nn.Module, x: Tensor, hx, weigh: list[Tensor | None]) -> list[Tensor | None]:
    """Those of a weighted sum of the results, with respect to the input, the states and the parameters."""
    results = leaves(module(x, hx))
    loss = sum((w * y).sum() for w, y in zip(weigh, results, strict=True) if w is not None)
    wanted = [t for t in (x, *leaves(hx), *module.parameters()) if t is not None and t.requires_grad]
    return list(torch.autograd.grad(loss, wanted, allow_unused=True))


def check(module: nn.Module, x: Tensor, hx, *, left_out: int | None = None) -> None:
    """Two calls against the general route; the loss does not depend on the result `left_out`."""
    weigh = [torch.randn(y.shape, dtype=x.dtype) for y in leaves(module(x, hx))]
    weigh = [None if i == left_out else w for i, w in enumerate(weigh)]
    with general_route():
        expected = gradients(module, x, hx, weigh)
    for _ in range(2):
        with poisoned():
            found = gradients(module, x, hx, weigh)
        for a, b in zip(found, expected, strict=True):
            assert (a is None) == (b is None)
            assert a is None or torch.equal(a, b)


@each_cell
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_cell_has_the_bits_of_the_general_route(cell, bias, dtype, short_calls):
    module, calls = tidegate.RecurrentCell(cell, D, H, bias=bias, dtype=dtype), 0
    for batch in ((), (1,), (3,), (20,)):
        for grad in (True, False):
            x = torch.randn(*batch, D, dtype=dtype, requires_grad=grad)
            for hx in (None, state(module, *batch, dtype=dtype, grad=grad)):
                check(module, x, hx)
                calls += 2
    assert len(short_calls) == calls


@each_cell
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_layer_has_the_bits_of_the_general_route(cell, batch_first, short_calls):
    module = tidegate.Recurrent(cell, D, H, batch_first=batch_first)
    for batch, B in (((1, 1), (1,)), ((4, 1) if batch_first else (1, 4), (4,)), ((1,), ())):
        x = torch.randn(*batch, D, requires_grad=True)
        for hx in (None, state(module, 1, *B, dtype=x.dtype, grad=True)):
            for left_out in (None, *range(1 + len(module.cell.state))):
                check(module, x, hx, left_out=left_out)
    assert short_calls


@pytest.mark.parametrize("frozen", ["weight_ih", "weight_hh", "bias_ih", "bias_hh"])
def test_parameters_can_be_frozen(frozen, short_calls):
    for cell in (tidegate.GRUCell(D, H), tidegate.LSTMCell(D, H)):
        getattr(cell, frozen).requires_grad_(False)
        for grad in (True, False):
            check(cell, torch.randn(3, D, requires_grad=grad), state(cell, 3, dtype=torch.float32, grad=grad))
    assert len(short_calls) == 8


def test_gradients_that_are_no_dense_rows(short_calls):
    """As those of a sum or of a transposed result."""
    cell, x = tidegate.GRUCell(D, H), torch.randn(3, D, requires_grad=True)
    for _ in range(3):
        for loss in (Tensor.sum, lambda y: y.t().contiguous().pow(2).sum(), lambda y: y[:, ::2].sum()):
            with general_route():
                expected = torch.autograd.grad(loss(cell(x)), x)
            assert torch.equal(torch.autograd.grad(loss(cell(x)), x)[0], expected[0])
    assert len(short_calls) == 8


@each_cell
def test_second_derivatives(cell, short_calls):
    module = tidegate.RecurrentCell(cell, 2, 3, dtype=torch.float64)
    x, hx = torch.randn(2, 2, dtype=torch.float64, requires_grad=True), []
    hx = [torch.randn(2, 3, dtype=torch.float64, requires_grad=True) for _ in cell.state]

    def run(x, *hx):
        return module(x, hx[0] if len(hx) == 1 else hx)

    for _ in range(2):
        run(x, *hx)
    assert torch.autograd.gradcheck(run, (x, *hx))
    assert torch.autograd.gradgradcheck(run, (x, *hx))
    assert short_calls


def test_batched_gradients_and_several_backward_passes(short_calls):
    cell, x = tidegate.GRUCell(D, H), torch.randn(3, D, requires_grad=True)
    cell(x)
    y = cell(x)
    assert short_calls
    several = torch.randn(4, 3, H)
    batched = torch.autograd.grad(y, x, several, retain_graph=True, is_grads_batched=True)[0]
    one_by_one = [torch.autograd.grad(y, x, d, retain_graph=True)[0] for d in several]
    assert torch.allclose(batched, torch.stack(one_by_one), atol=1e-6)
    assert torch.equal(torch.autograd.grad(y, x, several[0])[0], one_by_one[0])


def test_changes_between_the_passes_are_noticed(short_calls):
    cell, x = tidegate.GRUCell(D, H), torch.randn(3, D, requires_grad=True)
    for _ in range(2):
        y = cell(x)
        with torch.no_grad():
            cell.weight_hh.mul_(2)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.sum().backward()
    assert short_calls
    expected = torch.autograd.grad(cell(x).exp().sum(), x)[0]
    y = cell(x)
    y = y.exp_()  # results may be changed in place: none is saved
    assert torch.equal(torch.autograd.grad(y.sum(), x)[0], expected)


@each_cell
def test_a_loop_of_single_steps_has_the_gradients_of_the_sequence(cell, short_calls):
    layer = tidegate.Recurrent(cell, D, H, dtype=torch.float64)
    single, x = tidegate.RecurrentCell(cell, D, H, dtype=torch.float64), torch.randn(6, 3, D, dtype=torch.float64)
    single.load_state_dict({name.removesuffix("_l0"): p for name, p in layer.state_dict().items()})
    layer(x)[0].pow(2).sum().backward()
    hx, total = None, 0
    for x_t in x:
        hx = single(x_t, hx)
        total = total + leaves(hx)[0].pow(2).sum()
    total.backward()
    for a, b in zip(single.parameters(), layer.parameters(), strict=True):
        assert torch.allclose(a.grad, b.grad, rtol=1e-10, atol=1e-12)
    assert len(short_calls) == 4  # after the first without and the first with a state
