"""Which calls an engine that reads memory itself must refuse: those whose tensors are not plain arrays of numbers.

Such an engine needs the address of every tensor. A tensor that wraps another or has no memory, as under a transform,
has no such address; under a tracer the engine's operations would be missing from the recorded program.
"""

from collections.abc import Iterable
from functools import cache as once

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from tidegate.engines.call import Call
from tidegate.engines.torch_private import (
    dispatch_keys,
    in_dispatch_mode,
    in_forward_mode,
    in_functorch_transform,
    in_jit_trace,
    names_of_keys,
)


def refuse(call: Call) -> str | None:
    """The transform, tracer or kind of tensor that prevents reading the call's memory, as the end of a sentence; None
    if every tensor of the call is plain."""
    tensors = (call.x, *call.states, *call.weights.tensors(), call.lengths, call.resets)
    return refuse_tensors([t for t in tensors if t is not None])


def refuse_tensors(tensors: Iterable[Tensor]) -> str | None:
    """As `refuse`, for tensors without a call, such as the gradients that a backward pass receives."""
    if in_functorch_transform():
        return "a torch.func transform (grad, jvp, vmap) is active"
    if in_jit_trace():
        return "torch.jit.trace, which records torch's operations only, is active"
    if in_dispatch_mode():
        return "a torch dispatch mode (such as FakeTensorMode) receives every operation"
    dual, plain = in_forward_mode(), plain_keys("cpu")
    for t in tensors:
        if type(t) is not Tensor and type(t) is not nn.Parameter:
            return f"it takes plain tensors, and one of the call is a {type(t).__name__}"
        if dispatch_keys(t) not in plain and (reason := refuse_kind(t)) is not None:
            return reason
        if dual and forward_ad.unpack_dual(t).tangent is not None:
            return "a tensor of the call carries a forward-mode tangent"
    return None


def refuse_derivatives(tensors: Iterable[Tensor]) -> str | None:
    """The torch.func transform or the forward-mode derivative that is active, as the end of a sentence; None if none
    is. For engines that call torch's own functions, which take every kind of tensor."""
    if in_functorch_transform():
        return "a torch.func transform (grad, jvp, vmap) is active"
    if in_forward_mode() and any(forward_ad.unpack_dual(t).tangent is not None for t in tensors):
        return "a tensor of the call carries a forward-mode tangent"
    return None


def refuse_kind(t: Tensor) -> str | None:
    if dispatch_keys(t) in plain_keys(t.device.type):
        return None
    if t.layout is not torch.strided:
        return f"it takes dense tensors, and one of the call is {t.layout}"
    if t.is_quantized or t.is_nested:
        return f"it takes plain tensors, and one of the call is {'quantized' if t.is_quantized else 'nested'}"
    return f"it takes plain tensors, and one of the call has the dispatch keys {names_of_keys(t)}"


@once
def plain_keys(device: str) -> frozenset[int]:
    """The dispatch keys that a dense tensor of numbers can have on a device: made inside or outside
    torch.inference_mode, and with a negation pending or not (`torch.Tensor.is_neg`)."""
    with torch.inference_mode(False):
        z = torch.zeros(1, dtype=torch.complex64, device="cpu")
        pending = dispatch_keys(z.conj().imag) & ~dispatch_keys(z)
        found = [dispatch_keys(torch.empty(0, device=device))]
    with torch.inference_mode():
        found.append(dispatch_keys(torch.empty(0, device=device)))
    return frozenset(keys | flag for keys in found for flag in (0, pending))
