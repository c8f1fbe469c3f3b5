"""Small networks trained on a task: a recurrent layer and a linear readout, Adam, batches of 64 sequences."""

from collections.abc import Iterator

import torch
from torch import nn

import tidegate
from tidegate.cells import Cell
from tidegate.comparing.network import Network, initial_network
from tidegate.comparing.one_thread import ONE_THREAD
from tidegate.nn.equations import as_step
from tidegate.tasks import Batch, Task

UNITS, BATCH, CLIP = 32, 64, 1.0
UNSEEN = 1_000_000  # the seed of the sequences on which networks are scored; training uses 0, 1, 2, ...


def network(task: Task, cell: type[Cell], seed: int, *, units: int = UNITS, init: str = "default") -> Network:
    """An untrained network, which the seed determines."""
    torch.manual_seed(seed)
    return initial_network(as_step(cell), task, units, 1, init, T=task.batch(1, generator(seed)).x.shape[0])


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def train(net: Network, task: Task, seed: int, steps: int, lr: float) -> Iterator[int]:
    """Train in place, on new sequences at every step; yields the number of the steps that are done."""
    sequences, optimizer = generator(seed), torch.optim.Adam(net.parameters(), lr=lr)
    for k in range(1, steps + 1):
        update(net, task, task.batch(BATCH, sequences), optimizer)
        yield k


def update(net: Network, task: Task, batch: Batch, optimizer: torch.optim.Optimizer) -> float:
    """One step of the optimizer; returns the norm of the gradient before it is clipped."""
    optimizer.zero_grad()
    task.loss(net(batch), batch).backward()
    norm = nn.utils.clip_grad_norm_(net.parameters(), CLIP)
    optimizer.step()
    return norm.item()


def trained(task: Task, cell: type[Cell], seed: int, *, steps: int, lr: float = 5e-3) -> Network:
    net = network(task, cell, seed)
    with ONE_THREAD:  # so small that more threads would only wait for each other
        for _ in train(net, task, seed, steps, lr):
            pass
    return net


@torch.no_grad()
def score(net: Network, task: Task, batch: Batch) -> float:
    return task.score(net(batch), batch)


def unseen(task: Task, size: int = 512) -> Batch:
    """Sequences on which no network is trained."""
    return task.batch(size, generator(UNSEEN))


def traced(net: Network, batch: Batch) -> dict[str, torch.Tensor]:
    """Every gate and state of the layer, (T, B, H) each, by its name in the equations."""
    found = tidegate.trace(net.layer, batch.x, resets=batch.resets)
    return {name.removesuffix("_l0"): values.detach() for name, values in found.items()}
