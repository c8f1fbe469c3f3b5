"""Time of a token, forward and backward, as T, B and H grow: one picture on log axes, build/growth.png."""

from pathlib import Path
from statistics import median

import matplotlib as mpl
import torch
from torch import nn

import tidegate
from benchmarks.pairs import clock

BASE = {"T": 64, "B": 16, "H": 128}
SIZES = {"T": (16, 64, 256, 1024, 4096), "B": (1, 4, 16, 64, 256), "H": (32, 64, 128, 256, 512)}


def per_token(layer: nn.Module, T: int, B: int, H: int, count: int) -> float:
    """Microseconds a token."""
    x, dy = torch.randn(T, B, H), torch.randn(T, B, H)

    def step() -> None:
        layer.zero_grad(set_to_none=True)
        layer(x)[0].backward(dy)

    step()
    return median(clock(step) for _ in range(count)) / (T * B) * 1e6


def run(*, full: bool) -> dict:
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), sharey=True, layout="constrained")
    found: dict = {}
    for name, axis in zip(SIZES, axes):
        for label, kind in (("tidegate.GRU", tidegate.GRU), ("nn.GRU", nn.GRU)):
            times = []
            for size in SIZES[name]:
                sizes = {**BASE, name: size}
                times.append(per_token(kind(sizes["H"], sizes["H"]), **sizes, count=15 if full else 5))
            found.setdefault(name, {})[label] = dict(zip(SIZES[name], times))
            axis.loglog(SIZES[name], times, "o-", label=label)
            print(
                f"{label:<13} us a token by {name}: " + "  ".join(f"{s}: {t:.2f}" for s, t in zip(SIZES[name], times))
            )
        rest = ", ".join(f"{k} = {v}" for k, v in BASE.items() if k != name)
        axis.set(xlabel=f"{name}  ({rest})")
        axis.grid(alpha=0.3, which="both")
    axes[0].set(ylabel="µs a token, forward + backward")
    axes[0].legend()
    Path("build").mkdir(exist_ok=True)
    figure.savefig("build/growth.png", dpi=130)
    plt.close(figure)
    print("picture: build/growth.png\n")
    return found
