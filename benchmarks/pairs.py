"""Alternating pairs: two functions run alternately in one process; a ratio for each pair, their median and spread."""

import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Pair:
    """How many times faster ours is (median and quartiles of the ratios), and the median times in milliseconds."""

    name: str
    ratio: float
    low: float
    high: float
    ours: float
    theirs: float
    pairs: int

    def __str__(self) -> str:
        return (
            f"{self.name:<44} {self.ratio:6.2f}x  ({self.low:5.2f} - {self.high:5.2f})"
            f"  ours {self.ours:9.3f} ms  theirs {self.theirs:9.3f} ms  {self.pairs} pairs"
        )

    def record(self) -> dict:
        return asdict(self)


def clock(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def alternate(
    name: str, ours: Callable[[], object], theirs: Callable[[], object], seconds: float = 1.0, least: int = 5
) -> Pair:
    """Pairs for about `seconds`, at least `least` of them, after two that are not counted, or after one if it takes
    longer than `seconds`."""
    for _ in range(2):
        if clock(ours) + clock(theirs) > seconds:
            break
    times: list[tuple[float, float]] = []
    until = time.perf_counter() + seconds
    while len(times) < least or time.perf_counter() < until:
        times.append((clock(ours), clock(theirs)) if len(times) % 2 else (clock(theirs), clock(ours))[::-1])
    low, ratio, high = statistics.quantiles([b / a for a, b in times], n=4)
    a, b = (statistics.median(column) * 1e3 for column in zip(*times))
    return Pair(name, ratio, low, high, a, b, len(times))


def machine() -> dict:
    """Processor and versions."""
    import llvmlite

    import tidegate

    cpu = Path("/proc/cpuinfo")
    names = (
        [line.split(":")[1].strip() for line in cpu.read_text().splitlines() if "model name" in line]
        if cpu.exists()
        else []
    )
    return {
        "processor": names[0] if names else platform.processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "tidegate": tidegate.__version__,
        "llvmlite": llvmlite.__version__,
        "python": platform.python_version(),
    }
