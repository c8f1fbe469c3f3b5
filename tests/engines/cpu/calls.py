"""Random calls of every cell and kind, and the distance of a kernel's results from the float64 reference."""

from dataclasses import replace

import torch
from torch import Tensor

from tidegate import cells
from tidegate.calculus import trace
from tidegate.engines import cpu, reference
from tidegate.engines.call import Call, Result, Weights


class ThreeStages(cells.Cell):
    """Odd on purpose: products of expressions, of gates and of a second state, a vector, a gate without a product."""

    gates = ("u", "w", "k", "y")
    state = ("h", "m")
    vectors = ("s",)

    def equations(a, U, v, h, m):
        u = cells.functions.sigmoid(a.u + U.u(v.s * h))
        k = cells.functions.tanh(a.k + U.k(u * m))
        w = cells.functions.softplus(a.w + U.w(cells.functions.maximum(k, 0.1 * h)))
        y = cells.functions.relu(a.y + k)
        m_new = u * m + (1 - u) * k
        return (cells.functions.tanh(m_new + 0.3 * y) / (1 + w), m_new), (u, w, k, y)


EVERY = {**cells.CELLS, "three-stages": ThreeStages}
KINDS = {
    "plain": {},
    "reverse": {"reverse": True},
    "ragged": {"lengths": True, "resets": True},
    "ragged reverse": {"lengths": True, "resets": True, "reverse": True},
    "gates": {"keep_gates": True},
    "gates ragged": {"keep_gates": True, "lengths": True, "resets": True, "reverse": True},
    "class indices": {"indexed": True},
    "no bias": {"bias": False},
}


def make_call(
    cell: type[cells.Cell], T: int, B: int, D: int, H: int, dtype: torch.dtype = torch.float32, *, seed: int = 0,
    indexed: bool = False, lengths: bool = False, resets: bool = False, bias: bool = True, **options: bool,
) -> Call:  # fmt: skip
    """A call with random inputs, states, weights of size 1 / sqrt(H), and biases."""
    random = torch.Generator().manual_seed(seed)
    step = trace(cell)

    def leaf(scale: float, *shape: int) -> Tensor:
        return (torch.randn(shape, generator=random, dtype=torch.float64) * scale).to(dtype).requires_grad_()

    Ga, Gq, V = len(step.inputs), len(step.products), len(step.vectors)
    biases = (leaf(0.3, Ga * H), leaf(0.3, Gq * H)) if bias else (None, None)
    w = Weights(leaf(D**-0.5, Ga * H, D), leaf(0.7 * H**-0.5, Gq * H, H), *biases, leaf(0.5, V * H) if V else None)
    x = torch.randint(D, (T, B), generator=random) if indexed else leaf(1.0, T, B, D)
    states = tuple(leaf(0.5, B, H) for _ in step.state)
    length = torch.randint(0, T + 1, (B,), generator=random) if lengths else None
    reset = torch.rand(T, B, generator=random) < 0.2 if resets else None
    return Call(step, x, states, w, lengths=length, resets=reset, **options)


def tensors(call: Call) -> dict[str, Tensor]:
    names = ["x", *(f"state {s}" for s in call.step.state), "w_ih", "w_hh", "b_ih", "b_hh", "vectors", "w_hr"]
    return {n: t for n, t in zip(names, (call.x, *call.states, *call.weights.tensors())) if t is not None}


def leaves(call: Call) -> dict[str, Tensor]:
    """What gradients are taken of, by name."""
    return {n: t for n, t in tensors(call).items() if t.requires_grad}


def outputs(result: Result) -> dict[str, Tensor]:
    found = {"outputs": result.outputs} | {f"final {i}": s for i, s in enumerate(result.states)}
    found |= {f"sequence {s}": y for s, y in result.sequences.items()}
    return found | {f"gate {g}": y for g, y in result.gates.items()}


def run(call: Call, engine=cpu) -> dict[str, Tensor]:
    """Outputs, and gradients of a random sum of them, by name."""
    found = outputs(engine.run(call))
    random = torch.Generator().manual_seed(9)
    d = [torch.randn(y.shape, generator=random, dtype=torch.float64).to(y.dtype) for y in found.values()]
    inputs = leaves(call)
    gradients = torch.autograd.grad(list(found.values()), list(inputs.values()), d)
    return {n: y.detach() for n, y in found.items()} | {f"d {n}": g for n, g in zip(inputs, gradients)}


def in_double(call: Call) -> Call:
    """The same numbers in float64."""

    def double(t: Tensor | None) -> Tensor | None:
        return t if t is None or not t.is_floating_point() else t.detach().double().requires_grad_()

    weights = Weights(*map(double, call.weights.tensors()))
    return replace(call, x=double(call.x), states=tuple(map(double, call.states)), weights=weights)


def errors(call: Call) -> dict[str, float]:
    """Relative L2 error of every output and gradient against the float64 reference; what is smaller than 0.1 on the
    root of its mean square, as a single number may be by cancellation, is compared with 0.1."""
    got, expected = run(call), run(in_double(call), reference)
    assert got.keys() == expected.keys()
    return {
        n: float((got[n].double() - e).norm() / max(float(e.norm()), 0.1 * e.numel() ** 0.5)) if e.numel() else 0.0
        for n, e in expected.items()
    }


ODD = [(1, 1, 1, 1), (3, 3, 3, 2), (17, 7, 3, 5), (3, 33, 40, 16), (17, 3, 1, 33), (40, 3, 3, 64), (17, 33, 40, 100)]


def same_bits(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a.detach().view(torch.int32), b.detach().view(torch.int32))
