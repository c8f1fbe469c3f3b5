"""Calls whose tensors are half or bfloat16 are computed in float32 and rounded once."""

from dataclasses import replace

import pytest
import torch
from tests.engines.cpu.calls import EVERY, KINDS, leaves, make_call, outputs

from tidegate.engines import cpu

pytestmark = pytest.mark.usefixtures("poisoned")


def stored(call, storage):
    def convert(t):
        return t if t is None or not t.is_floating_point() else t.detach().to(storage).requires_grad_()

    weights = replace(call.weights, **{name: convert(t) for name, t in vars(call.weights).items()})
    return replace(call, x=convert(call.x), states=tuple(map(convert, call.states)), weights=weights)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("storage", [torch.bfloat16, torch.float16])
def test_numbers_are_those_of_float32_rounded_once(storage, kind):
    for name in ("gru", "lstm", "three-stages"):
        call = stored(make_call(EVERY[name], 6, 5, 4, 17, **KINDS[kind]), storage)
        exact = stored(call, torch.float32)
        results = [outputs(cpu.run(c)) for c in (call, exact)]
        for what, y in results[0].items():
            assert y.dtype is storage
            assert torch.equal(y, results[1][what].to(storage)), what
        ones = [[torch.ones_like(y) for y in r.values()] for r in results]
        found, expected = (
            torch.autograd.grad(list(r.values()), list(leaves(c).values()), d)
            for r, c, d in zip(results, (call, exact), ones)
        )
        for a, b in zip(found, expected):
            assert a.dtype is storage
            assert torch.equal(a, b.to(storage))
