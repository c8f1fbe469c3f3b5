"""A busy neighbour on every core, and what it does to a training step of ours and of torch.nn."""

import os
import subprocess
import sys
from statistics import median

from torch import nn

import tidegate
from benchmarks.pairs import clock
from benchmarks.textbook import H, V, training_step


def run(*, grid: str) -> dict:
    steps = {
        "ours": training_step(tidegate.GRU(V, H), one_hot=False),
        "nn.GRU": training_step(nn.GRU(V, H), one_hot=True),
    }
    count = 200 if grid == "full" else 60

    def times() -> dict[str, float]:
        return {name: median(clock(step) for _ in range(count)) for name, step in steps.items()}

    times()
    quiet = times()
    spinners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        busy = times()
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()
    slowdown = {name: busy[name] / quiet[name] for name in steps}
    print("busy neighbours: " + ", ".join(f"{name} {v:.1f} times slower" for name, v in slowdown.items()) + "\n")
    return slowdown
