"""How much longer a training step of Tidegate and of torch.nn takes while another program computes on every core.

Each runs in its own process with its usual spin count of OpenMP threads: ours with the one that `import tidegate` sets
before torch is imported (`tidegate.waiting`), torch.nn with torch's default.
"""

import json
import os
import subprocess
import sys
from statistics import median

from torch import nn

import tidegate
from benchmarks.pairs import clock
from benchmarks.textbook import H, V, training_step
from tidegate.waiting import SPINS


def run(*, grid: str) -> dict:
    count = 200 if grid == "full" else 60
    slowdown = {}
    for name, spins in (("ours", SPINS), ("nn.GRU", None)):
        environment = os.environ | ({} if spins is None else {"GOMP_SPINCOUNT": spins})
        command = [sys.executable, "-m", "benchmarks.other_load", name, str(count)]
        found = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
        slowdown[name] = json.loads(found.stdout)
    print(
        "other load on every core: " + ", ".join(f"{name} {v:.1f} times slower" for name, v in slowdown.items()) + "\n"
    )
    return slowdown


def slowdown_of(name: str, count: int) -> float:
    """The time of a step with one busy program for each core, as a multiple of its time without them."""
    ours = name == "ours"
    step = training_step((tidegate if ours else nn).GRU(V, H), one_hot=not ours, torchs=not ours)

    def time() -> float:
        return median(clock(step) for _ in range(count))

    time()
    idle = time()
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        return time() / idle
    finally:
        for program in busy:
            program.kill()
            program.wait()


if __name__ == "__main__":
    print(slowdown_of(sys.argv[1], int(sys.argv[2])))
