"""How gates learn to open although the gradients over long lags vanish at the start."""

import dataclasses
from collections.abc import Iterator, Sequence
from itertools import chain
from statistics import median

import numpy as np
import torch

import tidegate
from measured.tables import number, spread, table
from measured.training import BATCH, generator, network, score, traced, train, unseen, update
from tidegate.cells import GRU
from tidegate.comparing.network import Network
from tidegate.comparing.one_thread import ONE_THREAD
from tidegate.tasks import Task, find_task

LR, SEEDS = 5e-3, (0, 1, 2)
ADDING, SHOWN = find_task("adding", length=40), (0, 50, 100, 200, 300, 400)
LAGS = (10, 35)
RANGES = ((0, 10), (10, 20), (20, 40))
RECALL, STEPS = find_task("recall", length=24), 500


def opening() -> list[str]:
    """A GRU of 32 units on the adding task over 40 steps, with the initialisation of torch.nn, while it is trained."""
    found = [list(during(seed)) for seed in SEEDS]
    rows = [
        [str(steps), *(number(median(column)) for column in zip(*same_step))]
        for steps, same_step in zip(SHOWN, zip(*found))
    ]
    head = (
        "training steps",
        *(f"gradient {lag} back" for lag in LAGS),
        "mean z",
        *(f"used, {low} to {high - 1} back" for low, high in RANGES),
        "error",
    )
    return table(head, rows)


def during(seed: int) -> Iterator[list[float]]:
    net = network(ADDING, GRU, seed)
    with ONE_THREAD:
        for steps in chain([0], train(net, ADDING, seed, SHOWN[-1], LR)):
            if steps in SHOWN:
                yield [*ratios(net, ADDING, LAGS, 1), kept(net), *used(net), score(net, ADDING, unseen(ADDING))]


def ratios(net: Network, task: Task, lags: Sequence[int], base: int) -> list[float]:
    """The gradient of the loss with respect to the state `lag` steps before the end, divided by that `base` steps
    before it: mean norms over 128 sequences."""
    batch = unseen(task, 128)
    with ONE_THREAD:
        trace = tidegate.trace(net.layer, batch.x)
        found = trace.gradients(task.loss(net.head(trace.outputs), batch))["h_l0"].norm(dim=-1).mean(1)
    return [float(found[-1 - lag] / found[-1 - base]) for lag in lags]


def kept(net: Network) -> float:
    """The mean z at the steps without a marker, where the sum so far is to be kept."""
    batch = unseen(ADDING, 128)
    return float(traced(net, batch)["z"][batch.x[..., 1] == 0].mean())


@torch.no_grad()
def used(net: Network) -> list[float]:
    """How much of a marked value is in the output, by its distance from the end: 1 if the output contains the value,
    0 if it does not depend on it. The coefficients of a linear regression of the output on the values."""
    batch = unseen(ADDING, 2000)
    outputs = net(batch)[-1, :, 0].numpy()
    value, marked = batch.x[..., 0].numpy() - 0.5, batch.x[..., 1].numpy() > 0
    lag = np.arange(ADDING.length)[::-1, None]
    columns = [np.where(marked & (low <= lag) & (lag < high), value, 0).sum(0) for low, high in RANGES]
    coefficients, *_ = np.linalg.lstsq(np.stack([*columns, np.ones_like(outputs)], 1), outputs, rcond=None)
    return [float(c) for c in coefficients[:-1]]


def fixed_lag() -> list[str]:
    """Recall of the first of 24 symbols, where no shorter lag helps; and what helps nevertheless."""
    T = RECALL.length
    rows = []
    for label, init, lr, shortest in (
        (f"{T - 1} back only", "default", LR, T),
        (f"{T - 1} back only, 20 times the learning rate", "default", 20 * LR, T),
        (f"{T - 1} back only, chrono initialisation", f"chrono:{T}", LR, T),
        (f"1 to {T - 1} back, at random", "default", LR, 2),
    ):
        found = []
        for seed in SEEDS[:2]:
            net = network(RECALL, GRU, seed, init=init)
            start = gradient_to_first(net)
            train_on_lengths(net, seed, lr, shortest)
            found.append((start, gradient_to_first(net), score(net, RECALL, unseen(RECALL))))
        before, after, scores = zip(*found)
        rows.append([label, number(median(before)), number(median(after)), spread(scores)])
    head = ("trained on", "gradient at the first step, before", f"after {STEPS} training steps", "accuracy")
    return table(head, rows)


def gradient_to_first(net: Network) -> float:
    return ratios(net, RECALL, (RECALL.length - 1,), 0)[0]


def train_on_lengths(net: Network, seed: int, lr: float, shortest: int) -> None:
    """Train on batches of equal length, each drawn uniformly from `shortest` to that of the task."""
    sequences, optimizer = generator(seed), torch.optim.Adam(net.parameters(), lr=lr)
    with ONE_THREAD:
        for _ in range(STEPS):
            length = int(torch.randint(shortest, RECALL.length + 1, (), generator=sequences))
            task = dataclasses.replace(RECALL, length=length)
            update(net, task, task.batch(BATCH, sequences), optimizer)
