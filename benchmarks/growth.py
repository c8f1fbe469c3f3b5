"""Time per token, forward and backward, as a function of T, B and H: one picture on log axes, build/growth.png."""

from math import log
from pathlib import Path

import torch
from torch import nn

import tidegate
from benchmarks.layers import step
from benchmarks.pairs import alternate

BASE = {"T": 64, "B": 16, "H": 128}
SIZES = {"T": (16, 64, 256, 1024, 4096), "B": (1, 4, 16, 64, 256), "H": (32, 64, 128, 256, 512)}


def per_token(T: int, B: int, H: int, seconds: float) -> tuple[float, float]:
    """Microseconds per token, ours and torch.nn's, measured alternately after their outputs were compared."""
    theirs = nn.GRU(H, H)
    ours = tidegate.GRU(H, H, engine="cpu")
    ours.load_state_dict(theirs.state_dict())
    x, dy = torch.randn(T, B, H), torch.randn(T, B, H)
    steps = [step(layer, x, dy, backward=True) for layer in (ours, theirs)]
    a, b = (run() for run in steps)
    assert (a - b).norm() <= 1e-4 * b.norm(), f"GRU {B, H, T} differs from torch.nn"
    pair = alternate("growth", *steps, seconds, least=3)
    return pair.ours / (T * B) * 1e3, pair.theirs / (T * B) * 1e3


def measure(seconds: float) -> dict[str, dict[str, dict[int, float]]]:
    """Microseconds per token by the size that is varied, by layer, by the value of the size."""
    found = {}
    for name, sizes in SIZES.items():
        points = {size: per_token(**{**BASE, name: size}, seconds=seconds) for size in sizes}
        found[name] = {
            label: {size: times[i] for size, times in points.items()}
            for i, label in enumerate(("tidegate", "torch.nn"))
        }
        for label, times in found[name].items():
            cells = "  ".join(f"{name} {size}: {time:.2f}" for size, time in times.items())
            print(
                f"{label + '.GRU':<13} us per token   {cells}   total time as {name}^{exponent(times, name):.2f}",
                flush=True,
            )
    return found


def exponent(times: dict[int, float], name: str) -> float:
    """p in total time ~ size^p, between the third largest size and the largest; `times` are total times over T B."""
    (low, a), _, (high, b) = list(times.items())[-3:]
    return log(b / a) / log(high / low) + (name in "TB")


def draw(found: dict[str, dict[str, dict[int, float]]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), sharey=True, layout="constrained")
    for (name, curves), axis in zip(found.items(), axes):
        for label, times in curves.items():
            axis.loglog(times.keys(), times.values(), "o-", label=f"{label}.GRU")
        rest = ", ".join(f"{k} = {v}" for k, v in BASE.items() if k != name)
        axis.set_xticks(list(SIZES[name]), list(map(str, SIZES[name])))
        axis.minorticks_off()
        axis.set(xlabel=f"{name}  ({rest})")
        axis.grid(alpha=0.3)
    axes[0].set(ylabel="µs per token, forward + backward")
    axes[0].legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def run(*, grid: str) -> dict:
    found = measure(seconds=3.0 if grid == "full" else 0.7)
    path = Path("build/growth.png")
    draw(found, path)
    print(f"picture: {path}\n")
    return found
