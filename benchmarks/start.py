"""How much longer the first training step of a process takes than a later one: imports, compiling or reading kernels,
linking.

Each figure is the first step of a new process less its fastest later one: with an empty kernel cache, with one that
another cell has filled with the kernels that all cells share, with one that the cell has filled itself, and with one
that `tidegate kernels` has filled ahead, as `make install` does.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

CELLS = ("RNN", "GRU", "ResetBeforeGRU", "LSTM", "PeepholeLSTM")

FIRST_STEP = """
import sys, time
import torch, tidegate
layer, x = getattr(tidegate, sys.argv[1])(256, 256, engine="cpu"), torch.randn(35, 32, 256)
def step():
    started = time.perf_counter()
    layer(x)[0].sum().backward()
    return time.perf_counter() - started
first = step()
print(1e3 * (first - min(step() for _ in range(5))))
"""


def first_step(cell: str, kernels: Path) -> float:
    """Milliseconds. Python's bytecode is cached, as in an installed package."""
    return float(python(FIRST_STEP, cell, kernels=kernels))


def python(program: str, *arguments: str, kernels: Path) -> str:
    """What the program prints, in a process of its own whose cache folder is `kernels`."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["TIDEGATE_CACHE"] = str(kernels)
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def run(*, grid: str) -> dict:
    count = {"short": 3, "medium": 5, "full": 9}[grid]
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        shared = Path(folder) / "shared"
        first_step("ResidualRNN", shared)
        ahead = Path(folder) / "ahead"
        print(python("from tidegate.cli.app import main; main(['kernels'])", kernels=ahead), end="", flush=True)
        for cell in CELLS:
            new = [Path(folder) / f"{cell} {i}" for i in range(count)]
            others = [shutil.copytree(shared, Path(folder) / f"{cell} {i} shared") for i in range(count)]
            cold = median(first_step(cell, kernels) for kernels in new)
            own = median(first_step(cell, kernels) for kernels in others)
            warm = median(first_step(cell, kernels) for kernels in new)
            made = median(first_step(cell, ahead) for _ in range(count))
            found[cell] = {"cold": cold, "own": own, "warm": warm, "ahead": made}
            print(
                f"first step of {cell}: {cold:.0f} ms, after another cell's {own:.0f} ms, "
                f"with its kernels on disk {warm:.0f} ms, after `tidegate kernels` {made:.0f} ms",
                flush=True,
            )
    print()
    return found
