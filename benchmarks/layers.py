"""One layer, D = H: forward and backward, or forward alone, beside the layer of torch.nn of the same numbers."""

from statistics import geometric_mean

import torch
from torch import nn

import tidegate
from benchmarks.pairs import Pair, alternate

KINDS = {"GRU": (tidegate.GRU, nn.GRU), "LSTM": (tidegate.LSTM, nn.LSTM), "RNN": (tidegate.RNN, nn.RNN)}
FULL = [(B, H, T) for B in (1, 8, 32, 128) for H in (64, 128, 256, 512) for T in (35, 128, 512)]
SHORT = [(B, H, 35) for B in (1, 8, 32, 128) for H in (64, 256, 512)]


def layer(kind: str, B: int, H: int, T: int, *, backward: bool, seconds: float) -> Pair:
    ours_type, theirs_type = KINDS[kind]
    theirs = theirs_type(H, H)
    ours = ours_type(H, H, engine="cpu")
    ours.load_state_dict(theirs.state_dict())
    x, dy = torch.randn(T, B, H), torch.randn(T, B, H)
    found = []

    def step(module: nn.Module):
        def run() -> torch.Tensor:
            if not backward:
                with torch.no_grad():
                    return module(x)[0]
            module.zero_grad(set_to_none=True)
            y, _ = module(x.detach().requires_grad_())
            y.backward(dy)
            return y.detach()

        return run

    for module in (ours, theirs):
        y = step(module)()
        found.append([y, *(p.grad for p in module.parameters() if p.grad is not None)])
    for a, b in zip(*found, strict=True):
        assert (a - b).norm() <= 1e-4 * b.norm(), f"{kind} {B, H, T} differs from torch.nn"
    name = f"{kind} B {B} H {H} T {T} {'forward + backward' if backward else 'forward'}"
    return alternate(name, step(ours), step(theirs), seconds)


def run(*, full: bool) -> list[Pair]:
    """Every point of the grid, and the geometric mean and the smallest ratio of every kind."""
    found = []
    for backward in (True, False):
        for kind in KINDS:
            here = []
            for B, H, T in FULL if full else SHORT:
                here.append(layer(kind, B, H, T, backward=backward, seconds=1.0 if full else 0.4))
                print(here[-1], flush=True)
            ratios = [pair.ratio for pair in here]
            print(f"  {kind}: geometric mean {geometric_mean(ratios):.2f}x, smallest {min(ratios):.2f}x\n", flush=True)
            found += here
    return found
