"""A user's own three-gate cell beside our GRU, and memory: what a long sequence needs, whole and recomputed."""

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
from dataclasses import replace
from tidegate.engines import cpu
T, B, H = 4096, 8, 256
layer = torch.nn.GRU(H, H) if sys.argv[1] == "nn.GRU" else tidegate.GRU(H, H, engine="cpu")
x = torch.randn(T, B, H)
if sys.argv[1] == "recomputed":
    run = cpu.run
    cpu.run = lambda call: run(replace(call, recompute=True))
layer(x[:64])[0].sum().backward()
def peak():
    return next(int(l.split()[1]) for l in open('/proc/self/status') if l.startswith('VmHWM')) * 1024
before = peak()
layer(x)[0].sum().backward()
print((peak() - before) / (T * B))
"""


def run(*, full: bool) -> list:
    T, B, H = 35, 32, 256
    x, dy = torch.randn(T, B, H), torch.randn(T, B, H)

    def step(layer: torch.nn.Module):
        def once() -> None:
            layer.zero_grad(set_to_none=True)
            layer(x)[0].backward(dy)

        return once

    own = tidegate.Recurrent(ThreeGates, H, H, engine="cpu")
    pair: Pair = alternate(
        "own three-gate cell against our GRU", step(own), step(tidegate.GRU(H, H)), 4.0 if full else 1.5
    )
    print(pair)
    peaks = {}
    for name in ("nn.GRU", "ours", "recomputed"):
        output = subprocess.run([sys.executable, "-c", MEMORY, name], capture_output=True, text=True, check=True).stdout
        peaks[name] = float(output)
        print(f"peak memory of T 4096, B 8, H 256, forward and backward: {name:<10} {peaks[name]:8,.0f} bytes a token")
    print()
    return [pair, {"bytes a token": peaks}]
