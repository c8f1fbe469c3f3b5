"""An oracle for calls with bfloat16 products: the eager engine, whose products round their operands in both passes."""

from dataclasses import replace
from typing import Any

import torch
from tests.engines.cpu.calls import leaves, outputs
from torch import Tensor

from tidegate.engines import eager
from tidegate.engines.call import Call


def nearest(t: Tensor) -> Tensor:
    """t rounded to 8 significant bits, to nearest, ties to even: by integers, not by torch's conversion."""
    bits = t.contiguous().view(torch.int32)
    up = ((bits >> 16) & 1) + 0x7FFF
    return ((bits + up) & -0x10000).view(torch.float32)


def truncated(t: Tensor) -> Tensor:
    """t rounded to 8 significant bits towards zero: a planted error."""
    return (t.contiguous().view(torch.int32) & -0x10000).view(torch.float32)


class Product(torch.autograd.Function):
    """x w^T of rounded operands; so are the gradients of x and w."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, rounding: Any) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(rounding(x), rounding(w))
        ctx.rounding = rounding
        return rounding(x) @ rounding(w).T

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor, Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, w = ctx.saved_tensors
        d = ctx.rounding(d)
        return d @ w, torch.einsum("...i,...j->ij", d, x), None


def run(call: Call, rounding: Any = nearest) -> dict[str, Tensor]:
    """Outputs and gradients by name, as `calls.run`."""

    def linear(x: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
        product = Product.apply(x, w, rounding)
        return product if b is None else product + b

    found = outputs(eager.run(replace(call, precision="highest"), linear))
    random = torch.Generator().manual_seed(9)
    d = [torch.randn(y.shape, generator=random, dtype=torch.float64).to(y.dtype) for y in found.values()]
    inputs = leaves(call)
    gradients = torch.autograd.grad(list(found.values()), list(inputs.values()), d)
    return {n: y.detach() for n, y in found.items()} | {f"d {n}": g for n, g in zip(inputs, gradients)}


def differences(found: dict[str, Tensor], expected: dict[str, Tensor]) -> dict[str, float]:
    """Relative L2 difference by name; what is smaller than 0.1 on the root of its mean square is compared with 0.1."""
    assert found.keys() == expected.keys()
    return {
        n: float((found[n] - e).norm() / max(float(e.norm()), 0.1 * e.numel() ** 0.5)) if e.numel() else 0.0
        for n, e in expected.items()
    }
