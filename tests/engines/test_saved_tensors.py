"""Tensors that are others in the backward pass than in the forward pass: used as they are, or refused in a sentence."""

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

import tidegate
from tidegate.errors import EngineError

D, H = 5, 16


def transposed(t: Tensor) -> Tensor:
    """The same numbers in another order in memory."""
    order = list(range(t.dim()))[::-1]
    return t.permute(order).contiguous().permute(order)


def loss_of_layer(x: Tensor, modules: torch.nn.ModuleDict) -> Tensor:
    return modules["layer"](x)[0].square().sum()


def loss_in_stretches(x: Tensor, modules: torch.nn.ModuleDict) -> Tensor:
    modules["layer"].recompute = True
    return loss_of_layer(x, modules)


def loss_of_mixed_lengths(x: Tensor, modules: torch.nn.ModuleDict) -> Tensor:
    return modules["layer"](x, lengths=[4, 2, 3])[0].square().sum()


def loss_of_cell(x: Tensor, modules: torch.nn.ModuleDict) -> Tensor:
    return modules["cell"](x[0]).square().sum()


def loss_of_scores(x: Tensor, modules: torch.nn.ModuleDict) -> Tensor:
    head = modules["head"]
    return tidegate.linear_cross_entropy(x, head.weight, head.bias, torch.arange(12).reshape(4, 3))


each = pytest.mark.parametrize(
    "loss", [loss_of_layer, loss_in_stretches, loss_of_mixed_lengths, loss_of_cell, loss_of_scores]
)


@pytest.fixture
def modules() -> torch.nn.ModuleDict:
    return torch.nn.ModuleDict(
        {"layer": tidegate.LSTM(D, H), "cell": tidegate.GRUCell(D, H), "head": torch.nn.Linear(D, 20)}
    )


@pytest.fixture
def x(modules) -> Tensor:
    """Rows of a wider tensor. Calls of their form are known."""
    x = torch.randn(4, 3, 3 * D)[..., :D].requires_grad_()
    for _ in range(2):
        loss_of_cell(x, modules).backward()
    return x


def gradients(loss: Tensor, x: Tensor, modules: torch.nn.ModuleDict) -> list[Tensor]:
    found = torch.autograd.grad(loss, [x, *modules.parameters()], allow_unused=True)
    return [g for g in found if g is not None]


@each
@pytest.mark.parametrize("returned", [transposed, Tensor.contiguous, Tensor.clone])
def test_a_hook_may_return_the_numbers_in_another_layout(loss, returned, x, modules):
    expected = gradients(loss(x, modules), x, modules)
    for _ in range(2):
        with saved_tensors_hooks(lambda t: t, returned):
            y = loss(x, modules)
        for got, want in zip(gradients(y, x, modules), expected, strict=True):
            assert torch.allclose(got, want, atol=1e-5)


@each
@pytest.mark.parametrize(
    "returned",
    [
        lambda t: t.double() if t.dtype is torch.float32 else t,
        lambda t: t.half() if t.dtype is torch.float32 else t,
        lambda t: t[:1].clone(),
    ],
    ids=["double", "half", "first row"],
)
def test_a_hook_that_changes_type_or_sizes_is_reported(loss, returned, x, modules):
    for _ in range(2):
        with saved_tensors_hooks(lambda t: t, returned):
            y = loss(x, modules)
        with pytest.raises(EngineError, match="a hook of saved tensors or an assignment"):
            gradients(y, x, modules)


@pytest.mark.parametrize("loss", [loss_of_layer, loss_of_cell])
def test_parameters_assigned_between_the_passes(loss, x, modules):
    """`.data` has no version, so torch does not notice; the gradient is that at the new values, as with torch.nn."""
    weight = modules["layer"].weight_hh_l0 if loss is loss_of_layer else modules["cell"].weight_hh
    expected = gradients(loss(x, modules), x, modules)
    for _ in range(2):
        y = loss(x, modules)
        weight.data = transposed(weight.data)
        for got, want in zip(gradients(y, x, modules), expected, strict=True):
            assert torch.allclose(got, want, atol=1e-5)
        y = loss(x, modules)
        weight.data = weight.data.contiguous()
        for got, want in zip(gradients(y, x, modules), expected, strict=True):
            assert torch.allclose(got, want, atol=1e-5)
    y = loss(x, modules)
    weight.data = weight.data.double()
    with pytest.raises(EngineError, match="an assignment to"):
        gradients(y, x, modules)
