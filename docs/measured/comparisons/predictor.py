"""The gradient at initialisation as a predictor of success: for each run of a comparison, how much smaller the gradient
of the loss with respect to the first input is than that with respect to the last, before training."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata
from torch.nn.functional import one_hot

from tidegate.calculus import serial
from tidegate.comparing.network import initial_network
from tidegate.comparing.one_thread import drawing
from tidegate.comparing.streams import EVALUATION, WEIGHTS, number, stream
from tidegate.tasks import Batch, Task, find_task

EDGES = (-np.inf, -6, -4, -3, -2, -1, np.inf)  # of the bins of log10 of the ratio
SEQUENCES = 64


def ratio(task: Task, arm: Mapping[str, Any], seed: int) -> float:
    """Mean over sequences of |dL/dx_1|, divided by that of |dL/dx_T|, with the initial weights of a run; float64."""
    batch = task.batch(SEQUENCES, stream(EVALUATION, 0))
    x = one_hot(batch.x, task.input_size) if task.indexed else batch.x
    x = x.double().requires_grad_()
    own = arm["settings"]
    with drawing(number(WEIGHTS, seed)):
        network = initial_network(
            serial.loads(arm["equations"]), task, own["hidden"], own["layers"], own["init"], T=len(x)
        ).double()
    target = batch.target if task.of_classes else batch.target.double()
    task.loss(network(Batch(x, target)), batch).backward()
    assert x.grad is not None
    norms = x.grad.norm(dim=-1).mean(-1)
    return float(norms[0] / norms[-1])


def table(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """For each task: the share of runs that solved it, by the ratio at initialisation, and how well it orders them."""
    lines = []
    for found in results:
        name = found["task"]["name"]
        runs = [(arm, run["seed"], run["status"] == "solved") for arm in found["arms"] for run in arm["outcomes"]]
        parameters = [{**found["task"]["parameters"], **of_task(found, arm)} for arm, _, _ in runs]
        with torch.random.fork_rng(devices=[]):
            values = [
                np.log10(max(ratio(find_task(name, **own), arm, seed), 1e-300))
                for own, (arm, seed, _) in zip(parameters, runs)
            ]
        solved = np.array([success for _, _, success in runs])
        lines += [*of_bins(name, np.array(values), solved), "", *exceptions(np.array(values), runs), ""]
    return lines[:-1]


def of_task(found: Mapping[str, Any], arm: Mapping[str, Any]) -> dict[str, Any]:
    """The varied parameters of the task."""
    return {name: value for name, value in arm["varied"].items() if name not in arm["settings"]}


def of_bins(name: str, values: np.ndarray, solved: np.ndarray) -> list[str]:
    header = [f"{name}: gradient at the first input / at the last", "runs", "solved"]
    rows = ["| " + " | ".join(header) + " |", "| --- | --- | --- |"]
    for low, high in pairwise(EDGES):
        inside = (values >= low) & (values < high)
        if inside.any():
            span = (
                f"below 1e{high:g}" if low == -np.inf else f"1e{low:g} to 1e{high:g}" if high < np.inf else "above 0.1"
            )
            rows.append(f"| {span} | {inside.sum()} | {100 * solved[inside].mean():.0f} % |")
    return rows


def exceptions(values: np.ndarray, runs: Sequence[tuple[Mapping[str, Any], int, bool]]) -> list[str]:
    """How well the ratio orders the runs, and which of them it orders wrongly."""
    solved = np.array([success for _, _, success in runs])
    if solved.all() or not solved.any():
        return [f"All {len(runs)} runs {'solved' if solved.all() else 'failed'}, so nothing can be predicted."]
    n, ranks = solved.sum(), rankdata(values)
    share = (ranks[solved].sum() - n * (n + 1) / 2) / (n * (len(runs) - n))
    high = sorted({arm["label"] for value, (arm, _, success) in zip(values, runs) if value > -2 and not success})
    low = sorted({arm["label"] for value, (arm, _, success) in zip(values, runs) if value < -3 and success})
    return [
        f"In {100 * share:.0f} % of all pairs of a run that solved the task and one that did not, the former had the "
        f"larger ratio. Above 0.01 and not solved: {'; '.join(high) or 'none'}. Below 0.001 and solved: "
        f"{'; '.join(low) or 'none'}."
    ]
