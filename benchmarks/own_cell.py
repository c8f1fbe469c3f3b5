"""A user-defined cell with three gates against our GRU, and peak memory on long sequences with and without
recomputation."""

import subprocess
import sys

import torch

import tidegate
from benchmarks.pairs import Pair, alternate
from tidegate import sigmoid, tanh


class ThreeGates(tidegate.Cell):
    """A GRU whose candidate is scaled by a third gate; same number of products."""

    gates = ("f", "s", "n")
    state = ("h",)

    def equations(a, U, h):
        f = sigmoid(a.f + U.f(h))
        s = sigmoid(a.s + U.s(h))
        n = tanh(a.n + U.n(h))
        return (f * h + (1 - f) * s * n,), (f, s, n)


MEMORY = """
import sys, torch, tidegate
T, B, H = map(int, sys.argv[2:])
kind = {
    "nn.GRU": torch.nn.GRU,
    "ours": lambda *sizes: tidegate.GRU(*sizes, engine="cpu"),
    "recomputed": lambda *sizes: tidegate.GRU(*sizes, engine="cpu", recompute=True),
}
layer = kind[sys.argv[1]](H, H)
x = torch.randn(T, B, H)
layer(x[:2])[0].sum().backward()
def status(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name)) * 1024
before, peak = status("VmRSS"), status("VmHWM")
layer(x)[0].sum().backward()
assert status("VmHWM") > peak, "the pass needs less memory than the process used before it"
print((status("VmHWM") - before) / (T * B))
"""


def peak_memory(T: int, B: int, H: int) -> dict[str, float]:
    """Peak memory of a training pass, in bytes per token, above that of a process that holds the input; by layer."""
    peaks = {}
    for name in ("nn.GRU", "ours", "recomputed"):
        command = [sys.executable, "-c", MEMORY, name, str(T), str(B), str(H)]
        peaks[name] = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return peaks


def run(*, grid: str) -> list:
    T, B, H = 35, 32, 256
    x, dy = torch.randn(T, B, H), torch.randn(T, B, H)

    def step(layer: torch.nn.Module):
        def once() -> None:
            layer.zero_grad(set_to_none=True)
            layer(x)[0].backward(dy)

        return once

    own = tidegate.Recurrent(ThreeGates, H, H, engine="cpu")
    eager = tidegate.Recurrent(ThreeGates, H, H, engine="eager")
    eager.load_state_dict(own.state_dict())
    for layer in (own, eager):
        step(layer)()
    for a, b in zip(own.parameters(), eager.parameters(), strict=True):
        assert (a.grad - b.grad).norm() <= 1e-4 * b.grad.norm(), (
            "the user-defined cell's gradients differ from the eager engine's"
        )
    pair: Pair = alternate(
        "own three-gate cell against our GRU", step(own), step(tidegate.GRU(H, H)), 4.0 if grid == "full" else 1.5
    )
    print(pair)
    peaks = {}
    for T, B, H in [(512, 64, 256), (4096, 8, 256)]:
        peaks[f"T {T} B {B} H {H}"] = here = peak_memory(T, B, H)
        for name, size in here.items():
            print(
                f"peak memory, forward + backward, T {T} B {B} H {H}: {name:<10} {size:7,.0f} bytes per token, "
                f"{size / here['nn.GRU']:.2f} of nn.GRU's"
            )
    print()
    return [pair, {"bytes a token": peaks}]
