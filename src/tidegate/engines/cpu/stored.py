"""The two passes of `engines.autograd.Kernels` for calls whose tensors are stored in 16 bits: they are converted to
float32 for the kernels, in memory of the workspace pool, and results are rounded once."""

from dataclasses import replace

from torch import Tensor

from tidegate.engines.autograd import Cotangents, Forward, Gradients, Needed, Saved
from tidegate.engines.call import Call, Weights
from tidegate.engines.cpu import launch, workspace
from tidegate.engines.cpu.boundary import gradient
from tidegate.engines.precision import ARITHMETIC


def forward(call: Call, *, save: bool) -> Forward:
    """The forward pass; what it keeps for the backward pass is float32."""
    found = launch.forward(in_arithmetic(call), save=save)
    return Forward(
        rounded(found.outputs, call),
        tuple([rounded(s, call) for s in found.finals]),
        None if found.states is None else rounded(found.states, call),
        None if found.gates is None else rounded(found.gates, call),
        None if found.saved is None else Saved(found.saved.tensors, None),
    )


def backward(call: Call, saved: Saved, d: Cotangents, needed: Needed) -> Gradients:
    """The backward pass of the same call, from what `forward` saved."""
    like = call.weights.w_hh
    outputs, states, gates, *finals = [
        None if t is None else converted(gradient(t, like)) for t in (d.outputs, d.states, d.gates, *d.finals)
    ]
    found = launch.backward(in_arithmetic(call), saved, Cotangents(outputs, tuple(finals), states, gates), needed)
    return Gradients(
        None if found.x is None else rounded(found.x, call),
        tuple([rounded(s, call) for s in found.states]),
        tuple([None if w is None else rounded(w, call) for w in found.weights]),
    )


def in_arithmetic(call: Call) -> Call:
    """The call with its tensors converted to float32; the conversions are not nodes of torch's graph."""
    return replace(
        call,
        x=call.x if call.indexed else converted(call.x),
        states=tuple([converted(s) for s in call.states]),
        weights=Weights(*[None if w is None else converted(w) for w in call.weights.tensors()]),  # type: ignore[arg-type]
    )


def converted(t: Tensor) -> Tensor:
    """A contiguous copy in the arithmetic type."""
    return workspace.empty(tuple(t.shape), ARITHMETIC[t.dtype]).copy_(t.detach())


def rounded(t: Tensor, call: Call) -> Tensor:
    """A copy in the storage type of the call."""
    return workspace.empty(tuple(t.shape), call.weights.w_hh.dtype).copy_(t)
