"""Why a large batch seems not to converge: fewer updates in as many epochs."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

import torch

from measured.tables import number, table
from measured.training import generator, network, score, unseen, update
from tidegate.cells import GRU
from tidegate.comparing.one_thread import ONE_THREAD
from tidegate.tasks import Batch, find_task

TASK = find_task("skip", length=12, irrelevant=0.5)
SEQUENCES, SEEDS = 2048, (0, 1, 2)


@dataclass(frozen=True)
class Run:
    label: str
    batch: int
    epochs: int
    lr: float

    @property
    def updates(self) -> int:
        return self.epochs * SEQUENCES // self.batch


RUNS = (
    Run("small batch", 32, 8, 0.5),
    Run("large batch, same epochs", 256, 8, 0.5),
    Run("large batch, same epochs, learning rate times 8", 256, 8, 4.0),
    Run("large batch, same updates", 256, 64, 0.5),
)


def batches() -> list[str]:
    """GRU of 32 units, plain gradient descent, gradients clipped at norm 1, a data set of 2,048 sequences of `skip`."""
    rows = []
    for run in RUNS:
        loss, accuracy, norm = (median(column) for column in zip(*(measure(run, seed) for seed in SEEDS)))
        rows.append(
            [run.label, str(run.batch), f"{run.lr:g}", str(run.epochs), str(run.updates), number(loss),
             number(accuracy), number(norm)]
        )  # fmt: skip
    head = ("", "batch", "learning rate", "epochs", "updates", "loss", "accuracy", "largest gradient norm")
    return table(head, rows)


def measure(run: Run, seed: int) -> tuple[float, float, float]:
    """The loss on the data set and the accuracy on unseen sequences after training, and the largest gradient norm."""
    net, data = network(TASK, GRU, seed), TASK.batch(SEQUENCES, generator(seed))
    optimizer = torch.optim.SGD(net.parameters(), lr=run.lr)
    with ONE_THREAD:
        norms = [update(net, TASK, batch, optimizer) for batch in shuffled(data, run, seed)]
        with torch.no_grad():
            loss = TASK.loss(net(data), data).item()
    return loss, score(net, TASK, unseen(TASK)), max(norms)


def shuffled(data: Batch, run: Run, seed: int) -> Iterator[Batch]:
    order = generator(seed)
    for _ in range(run.epochs):
        for chosen in torch.randperm(SEQUENCES, generator=order).split(run.batch):
            yield Batch(data.x[:, chosen], data.target[:, chosen])
