"""A busy neighbour on every core, and what it does to a training step of ours and of torch.nn.

Each runs in a process of its own, with threads that wait as they do there: ours as `import tidegate` sets it when it
comes before torch (`tidegate.waiting`), torch.nn's as torch has it.
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
        command = [sys.executable, "-m", "benchmarks.neighbour", name, str(count)]
        found = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
        slowdown[name] = json.loads(found.stdout)
    print("busy neighbours: " + ", ".join(f"{name} {v:.1f} times slower" for name, v in slowdown.items()) + "\n")
    return slowdown


def slowdown_of(name: str, count: int) -> float:
    """The time of a step beside one spinning program a core, as a multiple of its time without."""
    ours = name == "ours"
    step = training_step((tidegate if ours else nn).GRU(V, H), one_hot=not ours)

    def time() -> float:
        return median(clock(step) for _ in range(count))

    time()
    quiet = time()
    spinners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        return time() / quiet
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()


if __name__ == "__main__":
    print(slowdown_of(sys.argv[1], int(sys.argv[2])))
