"""Calls drawn at random in every respect: cell, kind, sizes, number type, memory layout, what is differentiated and
which outputs the loss uses."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from tests.engines.cpu.calls import EVERY, KINDS, in_double, leaves, make_call, outputs, tensors
from tests.engines.cpu.memory import fenced
from torch import Tensor

from tidegate.engines import cpu, eager, reference
from tidegate.engines.call import Call, Weights

#: Multiplications of the recurrence and the inputs in one call, at least and at most; the reference takes a second for
#: as many as the largest.
WORK = 1e6, 3e8
#: Steps of a residual cell: its state grows and its map expands, so on longer ways errors are of the cell's making.
RESIDUAL_STEPS = 17

#: A weight that is repeated may make a map expand, so weights are never.
MEMORY = ("plain", "plain", "transposed", "spread", "inside", "fenced", "repeated")


@dataclass(frozen=True)
class Trial:
    """A call, and dL/d of those of its outputs that a loss knows."""

    name: str
    call: Call
    d: dict[str, Tensor]

    def __str__(self) -> str:
        c = self.call
        options = [o for o in ("reverse", "keep_gates", "recompute", "indexed") if getattr(c, o)]
        options += ["ragged"] if c.lengths is not None else []
        strides = {n: t.stride() for n, t in tensors(c).items() if not t.is_contiguous()}
        return (
            f"{self.name} {str(c.weights.w_hh.dtype)[6:]} T, B, D, H = {c.T}, {c.B}, {c.D}, {c.H} {options} "
            f"gradients of {list(leaves(c))} from {list(self.d)}, strides {strides}"
        )

    def run(self) -> dict[str, Tensor]:
        return results(self.call, cpu, self.d, list(leaves(self.call)))

    def errors(self, got: dict[str, Tensor]) -> dict[str, float]:
        """As `calls.errors`, of results that are there already."""
        expected = self.in_double(reference)
        assert got.keys() == expected.keys()
        return {n: distance(got[n].double(), e) for n, e in expected.items()}

    def errors_of_eager(self) -> dict[str, float]:
        """What the same numbers lose in torch's own operations."""
        got = results(replace(self.call, recompute=False), eager, self.d, list(leaves(self.call)))
        return {n: distance(got[n].double(), e) for n, e in self.in_double(reference).items()}

    def in_double(self, engine) -> dict[str, Tensor]:
        d = {n: t.double() for n, t in self.d.items()}
        return results(in_double(replace(self.call, recompute=False)), engine, d, list(leaves(self.call)))

    def alone(self, rows: list[int]) -> Call:
        """The call of some of its sequences."""
        c = self.call
        return replace(
            c, x=c.x[:, rows], states=tuple(s[rows] for s in c.states),
            lengths=None if c.lengths is None else c.lengths[rows],
            resets=None if c.resets is None else c.resets[:, rows],
        )  # fmt: skip


def results(call: Call, engine, d: dict[str, Tensor], wanted: list[str]) -> dict[str, Tensor]:
    """Outputs, and the gradients of what is wanted, by name."""
    found, inputs = outputs(engine.run(call)), leaves(call)
    gradients = torch.autograd.grad([found[n] for n in d], [inputs[n] for n in wanted], list(d.values()))
    return {n: y.detach() for n, y in found.items()} | {f"d {n}": g for n, g in zip(wanted, gradients)}


def distance(got: Tensor, expected: Tensor) -> float:
    scale = max(float(expected.norm()), 0.1 * expected.numel() ** 0.5)
    return float((got - expected).norm()) / scale if expected.numel() else 0.0


def draw(random: np.random.Generator, like: Trial | None = None) -> Trial:
    """A trial; with `like`, another call of its layer."""
    name = like.name if like else str(random.choice(list(EVERY)))
    for_matrix_unit = random.random() < 0.35
    dtype = torch.float32 if for_matrix_unit or random.random() < 0.6 else torch.float64
    T, B = (500 if random.random() < 0.05 else size(random, 1, 60)), size(random, 16 if for_matrix_unit else 1, 140)
    D, H = size(random, 128 if for_matrix_unit else 1, 200), size(random, 64 if for_matrix_unit else 1, 300)
    if like:
        dtype, D, H = like.call.weights.w_hh.dtype, like.call.D, like.call.H
    work = 10 ** random.uniform(*np.log10(WORK))
    T = max(1, min(T, int(work / (B * H * (H + D) * 3))))
    if "residual" in name:
        T = min(T, RESIDUAL_STEPS)
    kind = KINDS[str(random.choice(list(KINDS)))]
    call = make_call(EVERY[name], T, B, D, H, dtype, seed=int(random.integers(1 << 30)), **kind)
    if like:
        call = replace(call, weights=like.call.weights)
    else:
        call = replace(
            call, weights=Weights(*(t if t is None else laid(random, t, MEMORY[:-1]) for t in call.weights.tensors()))
        )
    call = replace(
        call, x=laid(random, call.x), states=tuple(laid(random, s) for s in call.states),
        recompute=bool(random.random() < 0.25) and not call.keep_gates,
    )  # fmt: skip
    if not leaves(call):
        call.states[0].requires_grad_()
    return Trial(name, call, cotangents(random, call))


def size(random: np.random.Generator, least: int, most: int) -> int:
    """Small ones as often as all others together, odd ones three times in four."""
    n = int(random.integers(least, (most if random.random() < 0.5 else min(most, least + 20)) + 1))
    return n | 1 if random.random() < 0.5 and n < most else n


def cotangents(random: np.random.Generator, call: Call) -> dict[str, Tensor]:
    with torch.no_grad():
        shapes = {n: y.shape for n, y in outputs(cpu.run(call)).items()}
    known = [n for n in shapes if random.random() < 0.7] or [str(random.choice(list(shapes)))]
    made = torch.Generator().manual_seed(int(random.integers(1 << 30)))
    dtype = call.weights.w_hh.dtype
    full = {n: torch.randn(shapes[n], generator=made, dtype=torch.float64).to(dtype) for n in known}
    return {n: laid(random, t).detach() for n, t in full.items()}


def laid(random: np.random.Generator, t: Tensor, ways: Sequence[str] = MEMORY) -> Tensor:
    """The same numbers somewhere in memory (or, repeated, one of them for a whole axis), perhaps to be differentiated.

    What lies between them is NaN."""
    how, axis = str(random.choice(ways)), int(random.integers(t.dim()))
    differentiated = t.requires_grad and random.random() < 0.85
    t = t.detach()
    hole = torch.nan if t.is_floating_point() else -1
    if how == "transposed" and t.dim() > 1:
        t = t.transpose(0, 1).contiguous().transpose(0, 1)
    elif how == "spread":
        wide = torch.full([n * (2 if i == axis else 1) for i, n in enumerate(t.shape)], hole, dtype=t.dtype)
        t = wide[tuple(slice(None, None, 2 if i == axis else 1) for i in range(t.dim()))].copy_(t)
    elif how == "inside":
        wide = torch.full([n + 3 for n in t.shape], hole, dtype=t.dtype)
        t = wide[tuple(slice(1, 1 + n) for n in t.shape)].copy_(t)
    elif how == "fenced":
        t = fenced(t)
    elif how == "repeated":
        t = t.narrow(axis, 0, 1).expand(t.shape)
    return t.requires_grad_(differentiated)
