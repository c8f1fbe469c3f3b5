"""Exercise 1 of D2L on gated recurrent units: gates with which the state depends on the input at t' alone."""

import dataclasses
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor

import tidegate
from measured.aligned import networks
from measured.imposed import impose
from measured.situations import ONLY_AT
from measured.tables import number, spread, table
from measured.training import UNITS, network, score, traced, unseen
from tidegate.cells import GRU, Cell, ResetBeforeGRU
from tidegate.comparing.network import Network
from tidegate.tasks import Batch, Task

D, H, T, AT, SEEDS = 6, 16, 20, 5, range(5)
FREE = torch.nan


def at(*, before: float, there: float, after: float) -> Tensor:
    """The values (T, 1) of a gate: 0, 1 or FREE, as the random weights of the layer compute it."""
    value = torch.full((T, 1), before)
    value[AT], value[AT + 1 :] = there, after
    return value


def at_random() -> Tensor:
    """0 or 1 at random at every step but t', and 0 at t'."""
    value = torch.randint(2, (T, 1)).float()
    value[AT] = 0
    return value


#: The values of r and z, by what the row of the table says.
SET: dict[str, Callable[[], dict[str, Tensor]]] = {
    "r = 0, z = 0 at t'; z = 1 after; r = 0 after": lambda: {
        "r": at(before=FREE, there=0, after=0), "z": at(before=FREE, there=0, after=1)
    },
    "the same, r = 1 after": lambda: {
        "r": at(before=FREE, there=0, after=1), "z": at(before=FREE, there=0, after=1)
    },
    "the same, r 0 or 1 at random elsewhere": lambda: {"r": at_random(), "z": at(before=FREE, there=0, after=1)},
    "the same, r = 1 at t'": lambda: {
        "r": at(before=FREE, there=1, after=FREE), "z": at(before=FREE, there=0, after=1)
    },
    "r = 0 at t', z = 1 at t' and after": lambda: {
        "r": at(before=FREE, there=0, after=FREE), "z": at(before=FREE, there=1, after=1)
    },
    "r = 0, z = 0 at t'; z free after": lambda: {
        "r": at(before=FREE, there=0, after=FREE), "z": at(before=FREE, there=0, after=FREE)
    },
    "z = 1 before t' too, from the state 0; r free everywhere": lambda: {"z": at(before=1, there=0, after=1)},
}  # fmt: skip


def exact() -> list[str]:
    """Random weights, T = 20 steps, t' = 5. r and z are set by inputs of weight 60; see `impose`."""
    rows = []
    for label, gates in SET.items():
        start = torch.zeros if "from the state 0" in label else torch.randn
        found = [measure(cell, gates, start, seed) for cell in (GRU, ResetBeforeGRU) for seed in SEEDS]
        rows.append([label, *(number(median(column)) for column in zip(*found))])
    head = (
        "gates",
        "distance of h from the candidate at t'",
        "change of h if the input at t' changes",
        "change of h if all others change",
    )
    return table(head, rows)


@torch.no_grad()
def measure(
    cell: type[Cell], gates: Callable[[], dict[str, Tensor]], start: Callable[..., Tensor], seed: int
) -> tuple[float, float, float]:
    """The largest Euclidean distance at any t > t': of h from tanh(W_n x_t' + b_n), of h from that of a run with
    another input at t', and from that of a run with other inputs at all other steps and another initial state."""
    torch.manual_seed(seed)
    layer = tidegate.Recurrent(cell, D, H, dtype=torch.float64)
    x, other = torch.randn(2, T, 1, D, dtype=torch.float64)
    h, h_other = start(2, 1, 1, H, dtype=torch.float64)
    values = gates()

    def states(x: Tensor, h: Tensor) -> Tensor:
        own, inputs = impose(layer, x, values)
        return own(inputs, h)[0][AT + 1 :, 0]

    there = (torch.arange(T) == AT)[:, None, None]
    found = states(x, h)
    differences = (
        found - candidate(layer, x[AT, 0]),
        found - states(torch.where(there, other, x), h),
        found - states(torch.where(there, x, other), h_other),
    )
    return tuple(float(d.norm(dim=-1).max()) for d in differences)


def constructed(seeds: tuple[int, ...]) -> list[str]:
    """Networks on the task, at its length and at ten times its length: constructed, trained and untrained."""
    task = ONLY_AT.task
    long = dataclasses.replace(task, length=10 * task.length)
    nets = networks("only-at", seeds)
    rows = {
        f"constructed, {task.output_size} units": [solution(task)],
        f"trained, {UNITS} units": [net.after for net in nets],
        f"untrained, {UNITS} units": [net.before for net in nets],
    }
    tested = [(own, unseen(own)) for own in (task, long)]
    head = ("network", *(f"accuracy over {own.length} steps" for own, _ in tested), "change of h after t' + 1")
    return table(
        head,
        [
            [label, *(spread([score(net, own, batch) for net in found]) for own, batch in tested),
             spread([moved(net, *tested[1]) for net in found])]
            for label, found in rows.items()
        ],
    )  # fmt: skip


@torch.no_grad()
def solution(task: Task) -> Network:
    """A GRU with one unit for each symbol that solves `only-at` exactly, without training.

    The candidate of a marked symbol is tanh(2) in the unit of the symbol and tanh(-2) in the others. A bias of 30 holds
    z open, a weight of -60 from every marked symbol closes it; the same for r. U is random: it has no effect.
    """
    K = task.output_size
    net = network(task, GRU, 0, units=K)
    for gate in ("r", "z"):
        for name, rows in net.layer.gate_parameters(gate).items():
            rows.zero_()
            if name.startswith("weight_ih"):
                rows[:, K:] = -60
            elif name.startswith("bias_ih"):
                rows.fill_(30)
    candidate = net.layer.gate_parameters("n")
    candidate["weight_ih_l0"][:, K:] = 4 * torch.eye(K)
    candidate["bias_ih_l0"].fill_(-2)
    net.head.weight.copy_(10 * torch.eye(K))
    net.head.bias.zero_()
    return net


def moved(net: Network, task: Task, batch: Batch) -> float:
    """The largest change of the state of any unit, from the step after t' to any later one, over 64 sequences."""
    h = traced(net, Batch(batch.x[:, :64], batch.target[:, :64]))["h"][ONLY_AT.task.at + 1 :]
    return float((h - h[0]).abs().max())


def candidate(layer: tidegate.Recurrent, x: Tensor) -> Tensor:
    """The candidate of one input x (D,) with r = 0: without the state and, if r multiplies the product, without c."""
    W, b, c = (layer.gate_parameters("n")[f"{name}_l0"] for name in ("weight_ih", "bias_ih", "bias_hh"))
    return torch.tanh(W @ x + b + (c if layer.cell is ResetBeforeGRU else 0))
