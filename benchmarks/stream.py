"""One step of one session on one thread: `tidegate.stream`, with weights in float32, bfloat16 and int8, against
nn.GRUCell, nn.LSTMCell and ONNX Runtime.

Every function takes x as a NumPy array (for torch.nn as a tensor) and keeps the state. They take turns in blocks of
steps, and each step is timed: the median and the 99th percentile, and the ratio of the medians of each pair of blocks.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

import tidegate
from benchmarks import onnx_cells

CELLS = {"GRU": (tidegate.GRUCell, nn.GRUCell), "LSTM": (tidegate.LSTMCell, nn.LSTMCell)}
SIZES = (64, 128, 256, 512)
#: Steps of each function, by grid, and in one block.
STEPS, BLOCK = {"short": 4_000, "medium": 20_000, "full": 100_000}, 200

Step = Callable[[np.ndarray], np.ndarray]


def of_torch(cell: nn.GRUCell | nn.LSTMCell) -> Step:
    state = None

    def step(x: np.ndarray) -> np.ndarray:
        nonlocal state
        with torch.inference_mode():
            state = cell(torch.from_numpy(x), state)
        return (state if isinstance(state, torch.Tensor) else state[0]).numpy()

    return step


def block(step: Step, inputs: np.ndarray) -> list[float]:
    """Microseconds of every step."""
    times = []
    for x in inputs:
        started = time.perf_counter_ns()
        step(x)
        times.append((time.perf_counter_ns() - started) / 1e3)
    return times


def compare(kind: str, H: int, steps: int) -> dict:
    """All functions at one size with D = H, after their states were compared."""
    ours_type, theirs_type = CELLS[kind]
    theirs = theirs_type(H, H)
    ours = ours_type(H, H, engine="cpu")
    ours.load_state_dict(theirs.state_dict())
    functions: dict[str, Step] = {
        "tidegate": tidegate.stream(ours).step,
        "bfloat16": tidegate.stream(ours, dtype="bfloat16").step,
        "int8": tidegate.stream(ours, dtype="int8").step,
        f"nn.{theirs_type.__name__}": of_torch(theirs),
    }
    if onnx_cells.missing() is None:
        functions["ONNX Runtime"] = onnx_cells.stepper(theirs)
    inputs = np.random.default_rng(0).normal(size=(BLOCK, H)).astype(np.float32)
    for x in inputs[:20]:
        found = [function(x) for function in functions.values()]
        bounds = [2e-2 if name in ("bfloat16", "int8") else 1e-4 for name in functions]
        differ = [np.abs(h - found[0]).max() > bound for h, bound in zip(found, bounds)]
        assert not any(differ), f"{kind} H {H}: the states differ"
    times: dict[str, list[list[float]]] = {name: [] for name in functions}
    for _ in range(steps // BLOCK):
        for name, function in functions.items():
            times[name].append(block(function, inputs))
    own = [statistics.median(one) for one in times["tidegate"]]
    result: dict = {"kind": kind, "H": H, "steps": steps}
    for name, blocks in times.items():
        p50, p99 = np.percentile(np.concatenate(blocks), (50, 99))
        ratio = statistics.median(statistics.median(one) / ours for one, ours in zip(blocks, own))
        result[name] = {"p50": float(p50), "p99": float(p99), "times as long": ratio}
    return result


def run(*, grid: str) -> list[dict]:
    """Every cell and size."""
    if (reason := onnx_cells.missing()) is not None:
        print(reason)
    threads, found = torch.get_num_threads(), []
    torch.set_num_threads(1)
    try:
        for kind in CELLS:
            for H in SIZES:
                one = compare(kind, H, STEPS[grid])
                columns = [
                    f"{name} {v['p50']:7.2f} / {v['p99']:7.2f} us"
                    + ("" if name == "tidegate" else f" ({v['times as long']:5.2f}x)")
                    for name, v in one.items()
                    if isinstance(v, dict)
                ]
                print(f"{kind:<4} H {H:3}  p50 / p99: {'   '.join(columns)}", flush=True)
                found.append(one)
    finally:
        torch.set_num_threads(threads)
    return found
