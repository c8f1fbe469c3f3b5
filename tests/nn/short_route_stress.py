"""The short route under load, for any length of time: threads and forks, with weights that change between calls.

`python -m tests.nn.short_route_stress [--minutes 3] [--seed 0]`

Several threads call cells and layers, each some of its own and one that all share. Between calls the weights of its own
modules change in one of the ways in which weights can change. Every result and gradient is compared, bit by bit, with
the general route of the engine on the same tensors; forked children do the same.
"""

import argparse
import faulthandler
import os
import random
import sys
import threading
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

import tidegate
from tidegate.cells import CELLS
from tidegate.engines import Call, Weights, cpu
from tidegate.nn.equations import step_of

NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "vector")


def replace(module: nn.Module, name: str, new: Tensor) -> None:
    setattr(module, name, nn.Parameter(new))


def set_data(module: nn.Module, name: str, new: Tensor) -> None:
    getattr(module, name).data = new


def copy(module: nn.Module, name: str, new: Tensor) -> None:
    with torch.no_grad():
        getattr(module, name).copy_(new)


def write_numpy(module: nn.Module, name: str, new: Tensor) -> None:
    getattr(module, name).detach().numpy()[:] = new.numpy()


def update(module: nn.Module, name: str, new: Tensor) -> None:
    parameter = getattr(module, name)
    parameter.grad = new
    torch.optim.SGD([parameter], lr=0.5).step()
    parameter.grad = None


CHANGES: tuple[Callable[[nn.Module, str, Tensor], None], ...] = (replace, set_data, copy, write_numpy, update)


def make(choose: random.Random) -> nn.Module:
    cell, D, H = choose.choice(list(CELLS.values())), choose.randint(1, 40), choose.randint(1, 70)
    kind = choose.choice((tidegate.RecurrentCell, tidegate.Recurrent))
    return kind(cell, D, H, bias=choose.random() < 0.8)


def compare(module: nn.Module, choose: random.Random) -> str | None:
    """One call by the module and by the engine; what differs."""
    layer = isinstance(module, tidegate.Recurrent)
    ending, T = ("_l0", choose.choice((1, 6))) if layer else ("", 1)
    B, D, H = choose.choice((1, 5, 9, 17)), module.input_size, module.hidden_size
    training, names = choose.random() < 0.5, module.cell.state
    # Another thread may hold the lock of torch's own generator while this process is forked.
    generator = torch.Generator().manual_seed(choose.getrandbits(32))
    x = torch.randn(T, B, D, generator=generator).requires_grad_(training)
    states = tuple(torch.randn(B, H, generator=generator).requires_grad_(training) for _ in names)
    with torch.set_grad_enabled(training):
        given = tuple(s.unsqueeze(0) for s in states) if layer else states
        found = torch.utils._pytree.tree_leaves(module(x if layer else x[0], given if len(given) > 1 else given[0]))
        weights = Weights(*[getattr(module, name + ending, None) for name in NAMES])  # type: ignore[arg-type]
        result = cpu.run(Call(step_of(module), x, states, weights))
        expected = [result.outputs, *[s.unsqueeze(0) for s in result.states]] if layer else result.states
        if not all(map(torch.equal, found, expected)):
            return "results"
        if training:
            d = [torch.randn(y.shape, generator=generator) for y in found]
            wanted = [x, *states, *module.parameters()]
            pairs = zip(*(torch.autograd.grad(y, wanted, d, allow_unused=True) for y in (found, expected)))
            if any((a is None) != (b is None) or (a is not None and not torch.equal(a, b)) for a, b in pairs):
                return "gradients"
    return None


def child_is_right(module: nn.Module, seed: int) -> bool:
    child = os.fork()
    if not child:
        faulthandler.dump_traceback_later(30, exit=True)
        choose = random.Random(seed)
        os._exit(int(any(compare(module, choose) for _ in range(3))))
    return os.waitpid(child, 0)[1] == 0


def run(seed: int, more: Callable[[int], bool]) -> list[str]:
    """What was wrong, in rounds of four threads while `more(round)`."""
    wrong: list[str] = []
    number = 0
    while more(number):
        choose = random.Random(seed * 1_000_003 + number)
        shared = make(choose)
        compare(shared, choose)

        def caller(own_seed: int, shared: nn.Module = shared, number: int = number) -> None:
            choose = random.Random(own_seed)
            own = make(choose)
            for step in range(40):
                if (what := compare(shared, choose)) is not None:
                    wrong.append(f"round {number}: {what} of a shared {shared} differ")
                name = choose.choice([name for name, _ in own.named_parameters()])
                change = choose.choice(CHANGES)
                change(own, name, torch.randn_like(getattr(own, name).detach()))
                if (what := compare(own, choose)) is not None:
                    wrong.append(f"round {number}, step {step}: {what} of {own} differ after {change.__name__}")

        threads = [threading.Thread(target=caller, args=(choose.getrandbits(32),)) for _ in range(4)]
        for thread in threads:
            thread.start()
        if not child_is_right(shared, number):
            wrong.append(f"round {number}: a forked child differs, {shared}")
        for thread in threads:
            thread.join()
        number += 1
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.nn.short_route_stress", description="Stress the short route."
    )
    parser.add_argument("--minutes", type=float, default=3.0, help="duration (3 by default)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the modules and their sizes (0 by default)")
    chosen = parser.parse_args()
    faulthandler.enable()
    end, rounds = time.monotonic() + 60 * chosen.minutes, [0]

    def more(number: int) -> bool:
        rounds[0] = number
        return time.monotonic() < end

    wrong = run(chosen.seed, more)
    print(f"{rounds[0]} rounds, {rounds[0] * 323} calls, {len(wrong)} wrong")
    print("\n".join(wrong))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
