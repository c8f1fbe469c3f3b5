"""Which tensors are plain arrays of numbers, and the reasons that are given for the others."""

from dataclasses import replace

import pytest
import torch
from tests.engines.cpu.calls import EVERY, make_call
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.autograd import forward_ad

from tidegate.engines import transforms


class Subclass(torch.Tensor):
    pass


def dense(*size: int) -> torch.Tensor:
    return torch.randn(*size)


def test_plain_tensors_are_taken():
    base = dense(3, 4)
    with torch.inference_mode():
        inference = dense(3)
    plain = [
        base, base.t(), base[0].expand(5, 4), base[1:], nn.Parameter(base), base.double(), torch.arange(3),
        torch.zeros(2, dtype=torch.bool), nn.Parameter(base) * 2, inference, torch.randn(0),
        torch.randn(3, dtype=torch.complex64).conj().imag, torch.zeros(2, device="meta"),
    ]  # fmt: skip
    assert transforms.refuse_tensors(plain) is None


OTHERS = {
    "Subclass": lambda: dense(3).as_subclass(Subclass),
    "FakeTensor": lambda: FakeTensorMode().from_tensor(dense(3)),
    "sparse_coo": lambda: torch.eye(3).to_sparse(),
    "sparse_csr": lambda: torch.eye(3).to_sparse_csr(),
    "mkldnn": lambda: dense(3, 3).to_mkldnn(),
    "quantized": lambda: torch.quantize_per_tensor(dense(3), 0.1, 0, torch.qint8),
    "nested": lambda: torch.nested.nested_tensor([dense(2, 3), dense(4, 3)]),
    "Functionalize": lambda: torch._to_functional_tensor(dense(3)),
    "ZeroTensor": lambda: torch._efficientzerotensor(3),
    "Conjugate": lambda: torch.randn(3, dtype=torch.complex64).conj(),
}


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", OTHERS)
def test_other_tensors_are_refused_by_their_kind(kind):
    reason = transforms.refuse_tensors([dense(3), OTHERS[kind]()])
    assert reason is not None
    assert kind in reason


def test_every_tensor_of_a_call_is_checked():
    call = make_call(EVERY["peephole-lstm"], 3, 2, 2, 4, lengths=True, resets=True)
    assert transforms.refuse(call) is None
    odd = {"x": call.x, "lengths": call.lengths, "resets": call.resets}
    for name, tensor in odd.items():
        assert "Subclass" in transforms.refuse(replace(call, **{name: tensor.detach().as_subclass(Subclass)}))
    for i in range(2):
        states = [s.detach() for s in call.states]
        states[i] = states[i].as_subclass(Subclass)
        assert "Subclass" in transforms.refuse(replace(call, states=tuple(states)))
    for name in ("w_ih", "w_hh", "b_ih", "b_hh", "vectors"):
        tensor = getattr(call.weights, name).detach().as_subclass(Subclass)
        assert "Subclass" in transforms.refuse(replace(call, weights=replace(call.weights, **{name: tensor})))


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_transforms_and_tracers_are_refused():
    reasons = []

    def watch(x):
        reasons.append(transforms.refuse_tensors([x]))
        return x * 2

    torch.vmap(watch)(dense(2, 3))
    torch.func.jvp(watch, (dense(3),), (dense(3),))
    torch.func.functionalize(watch)(dense(3))
    assert [reason.partition(" transform")[0] for reason in reasons] == ["a torch.func"] * 3
    with FakeTensorMode():
        watch(dense(3))
    assert "dispatch mode" in reasons.pop()
    with forward_ad.dual_level():
        watch(dense(3))
        watch(forward_ad.make_dual(dense(3), dense(3)))
    assert reasons[-2] is None
    assert "tangent" in reasons[-1]


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_torch_jit_trace_is_refused():
    reasons = []

    def watch(x):
        reasons.append(transforms.refuse_tensors([x]))
        return x * 2

    torch.jit.trace(watch, dense(3), check_trace=False)
    assert len(reasons) == 1
    assert "torch.jit.trace" in reasons[0]


def test_the_gradients_of_a_batched_backward_pass_are_refused():
    reasons = []

    class Watch(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, d):
            reasons.append(transforms.refuse_tensors([d]))
            return d * 2

    x = dense(3).requires_grad_()
    y = Watch.apply(x)
    torch.autograd.grad(y, x, torch.eye(3), is_grads_batched=True, retain_graph=True)
    assert "Batched" in reasons[0]
    torch.autograd.grad(y, x, torch.ones(3))
    assert reasons[1] is None
