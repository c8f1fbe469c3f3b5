"""Arithmetic rate of the kernels, as a fraction of the best rate of torch's matrix product on this machine."""

import time

import torch

import tidegate
from tidegate.engines.cpu.kernels import Kernel

PRODUCTS = [(1120, 256, 768), (128, 512, 1536), (1024, 512, 1536), (4096, 512, 1536), (2048, 2048, 2048)]


def best_product(seconds: float = 0.3) -> float:
    """The best sustained rate of torch.mm over several sizes, in GFLOP/s."""
    best = 0.0
    for m, k, n in PRODUCTS:
        a, b, c = torch.randn(m, k), torch.randn(k, n), torch.empty(m, n)
        torch.mm(a, b, out=c)
        started, count = time.perf_counter(), 0
        while time.perf_counter() < started + seconds:
            torch.mm(a, b, out=c)
            count += 1
        best = max(best, 2 * m * k * n * count / (time.perf_counter() - started) / 1e9)
    return best


def kernel_rates(B: int, H: int, T: int = 35, seconds: float = 1.0) -> dict[str, float]:
    """Forward and backward kernel of a GRU with D = H, all its products counted, in GFLOP/s."""
    spent = {"forward": 0.0, "backward": 0.0}
    call = Kernel.__call__

    def timed(self: Kernel, *arguments) -> None:
        started = time.perf_counter()
        call(self, *arguments)
        spent["forward" if "b_ih" in self.arguments else "backward"] += time.perf_counter() - started

    layer, x, dy = tidegate.GRU(H, H, engine="cpu"), torch.randn(T, B, H, requires_grad=True), torch.randn(T, B, H)
    layer(x)[0].backward(dy)
    Kernel.__call__ = timed
    try:
        started, count = time.perf_counter(), 0
        while time.perf_counter() < started + seconds:
            layer.zero_grad(set_to_none=True)
            layer(x)[0].backward(dy)
            count += 1
    finally:
        Kernel.__call__ = call
    product = 2 * T * B * H * 3 * H * count / 1e9
    return {"forward": 2 * product / spent["forward"], "backward": 4 * product / spent["backward"]}


def run(*, grid: str) -> list[dict]:
    found = []
    for B in (32, 128):
        for H in (256, 512):
            before = best_product()
            rates = kernel_rates(B, H, seconds=2.0 if grid == "full" else 0.7)
            best = max(before, best_product())
            found.append({"B": B, "H": H, "best product": best, **rates})
            shares = ", ".join(f"{k} {v:.0f} GFLOP/s = {v / best:.0%}" for k, v in rates.items())
            print(f"GRU B {B} H {H}: {shares} of the best product's {best:.0f}", flush=True)
    print()
    return found
