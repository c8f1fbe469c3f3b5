"""One layer, D = H: forward and backward, or forward alone, against torch.nn's layer with the same parameters."""

from collections.abc import Callable
from itertools import product
from statistics import geometric_mean

import torch
from torch import Tensor, nn

import tidegate
from benchmarks.pairs import Pair, alternate

KINDS = {"GRU": (tidegate.GRU, nn.GRU), "LSTM": (tidegate.LSTM, nn.LSTM), "RNN": (tidegate.RNN, nn.RNN)}
Point = tuple[int, int, int]

# B, H, T. The largest point alone is 43 % of the arithmetic of the full grid, so the medium grid leaves it out.
FULL: list[Point] = list(product((1, 8, 32, 128), (64, 128, 256, 512), (35, 128, 512)))
GRIDS: dict[str, list[Point]] = {
    "short": list(product((1, 8, 32, 128), (64, 256, 512), (35,))),
    "medium": FULL[:-1],
    "full": FULL,
}
SECONDS = {"short": 0.4, "medium": 0.25, "full": 1.0}


def step(layer: nn.Module, x: Tensor, dy: Tensor, *, backward: bool) -> Callable[[], Tensor]:
    """One pass of the layer; the gradients stay in its parameters."""

    def run() -> Tensor:
        if not backward:
            with torch.no_grad():
                return layer(x)[0]
        layer.zero_grad(set_to_none=True)
        y, _ = layer(x.detach().requires_grad_())
        y.backward(dy)
        return y.detach()

    return run


def compare(kind: str, point: Point, *, backward: bool, seconds: float) -> Pair:
    """The two layers at one point, after their outputs and gradients were compared."""
    B, H, T = point
    ours_type, theirs_type = KINDS[kind]
    theirs = theirs_type(H, H)
    ours = ours_type(H, H, engine="cpu")
    ours.load_state_dict(theirs.state_dict())
    x, dy = torch.randn(T, B, H), torch.randn(T, B, H)
    steps = [step(layer, x, dy, backward=backward) for layer in (ours, theirs)]
    found = [[run(), *(p.grad for p in layer.parameters() if backward)] for run, layer in zip(steps, (ours, theirs))]
    for a, b in zip(*found, strict=True):
        assert (a - b).norm() <= 1e-4 * b.norm(), f"{kind} {B, H, T} differs from torch.nn"
    name = f"{kind:<4} B {B:3} H {H:3} T {T:3} {'forward + backward' if backward else 'forward'}"
    return alternate(name, *steps, seconds, least=3)


def table(kind: str, title: str, pairs: dict[Point, Pair]) -> str:
    """The ratios by B, T and H, their geometric mean, the smallest, and the points where torch.nn is faster."""
    ratios = {point: pair.ratio for point, pair in pairs.items()}
    Hs = sorted({H for _, H, _ in ratios})
    lines = [
        f"  {kind}, {title}: how many times faster than torch.nn",
        "       B    T" + "".join(f"   H {H:3}" for H in Hs),
    ]
    for B, T in sorted({(B, T) for B, _, T in ratios}):
        cells = (f"{ratios[B, H, T]:7.2f}x" if (B, H, T) in ratios else "       -" for H in Hs)
        lines.append(f"     {B:3}  {T:3}" + "".join(cells))
    slower = [f"B {B} H {H} T {T}" for (B, H, T), ratio in ratios.items() if ratio < 1]
    lines.append(f"  geometric mean {geometric_mean(ratios.values()):.2f}x, smallest {min(ratios.values()):.2f}x")
    lines.append(f"  torch.nn is faster at: {'; '.join(slower) or 'no point'}\n")
    return "\n".join(lines)


def run(*, grid: str) -> list[Pair]:
    """Every point of the grid, and a table for each kind of layer."""
    found: list[Pair] = []
    for backward, title in ((True, "forward + backward"), (False, "forward")):
        for kind in KINDS:
            here = {}
            for point in GRIDS[grid]:
                here[point] = compare(kind, point, backward=backward, seconds=SECONDS[grid])
                print(here[point], flush=True)
            print(table(kind, title, here), flush=True)
            found += here.values()
    return found
