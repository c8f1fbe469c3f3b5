"""Calls of one step on one thread: cells, and layers with T = 1, against those of torch.nn, without gradients and as a
training step (forward and backward pass of the sum of the new state).

The two take turns in blocks of calls; a ratio for each pair of blocks, their median and quartiles.
"""

from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor, nn

import tidegate
from benchmarks.pairs import Pair, alternate

MODULES: dict[str, tuple[type[nn.Module], type[nn.Module]]] = {
    "GRUCell": (tidegate.GRUCell, nn.GRUCell),
    "LSTMCell": (tidegate.LSTMCell, nn.LSTMCell),
    "RNNCell": (tidegate.RNNCell, nn.RNNCell),
    "GRU": (tidegate.GRU, nn.GRU),
    "LSTM": (tidegate.LSTM, nn.LSTM),
    "RNN": (tidegate.RNN, nn.RNN),
}
SIZES, BATCHES = (64, 128, 256, 512), (1, 4, 16)
#: Seconds of each pair of functions, by grid, and calls in one block.
SECONDS, BLOCK = {"short": 0.25, "medium": 1.0, "full": 4.0}, 20

Call = Callable[[], object]


def first(result: object) -> Tensor:
    while isinstance(result, tuple):
        result = result[0]
    assert isinstance(result, Tensor)
    return result


def block(module: nn.Module, x: Tensor, hx: object, *, training: bool) -> Call:
    """BLOCK calls."""

    def infer() -> None:
        with torch.no_grad():
            for _ in range(BLOCK):
                module(x, hx)

    def train() -> None:
        for _ in range(BLOCK):
            first(module(x, hx)).sum().backward()
        module.zero_grad()

    return train if training else infer


def compare(name: str, H: int, B: int, *, training: bool, seconds: float) -> Pair:
    ours_type, theirs_type = MODULES[name]
    ours, theirs = ours_type(H, H), theirs_type(H, H)
    ours.load_state_dict(theirs.state_dict())
    size = (B, H) if name.endswith("Cell") else (1, B, H)
    x, state = torch.randn(size), torch.randn(size)
    hx = (state, torch.randn(size)) if "LSTM" in name else state
    assert torch.allclose(first(ours(x, hx)), first(theirs(x, hx)), atol=1e-5), f"{name}: the results differ"
    kind = "training" if training else "no gradient"
    calls = (block(module, x, hx, training=training) for module in (ours, theirs))
    return alternate(f"{name} H {H} B {B} {kind}", *calls, seconds=seconds)


def run(grid: str = "short") -> list[Pair]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    found = []
    print(f"One step, one thread: microseconds of a call (median; ratio torch.nn / tidegate and its quartiles)\n"
          f"{'':<12}{'H':>5}{'B':>4}{'':>14}{'torch.nn':>10}{'tidegate':>10}{'ratio':>8}")  # fmt: skip
    try:
        for name, H, B, training in product(MODULES, SIZES, BATCHES, (False, True)):
            pair = compare(name, H, B, training=training, seconds=SECONDS[grid])
            found.append(pair)
            ours, theirs = (milliseconds * 1e3 / BLOCK for milliseconds in (pair.ours, pair.theirs))
            kind = "training" if training else "no gradient"
            print(f"{name:<12}{H:>5}{B:>4}{kind:>14}{theirs:>10.1f}{ours:>10.1f}{pair.ratio:>8.2f}"
                  f"  ({pair.low:.2f} - {pair.high:.2f})", flush=True)  # fmt: skip
    finally:
        torch.set_num_threads(threads)
    return found
