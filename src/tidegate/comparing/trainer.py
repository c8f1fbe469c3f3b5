"""Trainer: steps of gradient descent, with their time and the check whether they diverge."""

import math
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from tidegate.calculus import serial
from tidegate.comparing.job import Job
from tidegate.comparing.network import Network, initial_network
from tidegate.comparing.one_thread import ONE_THREAD, drawing
from tidegate.comparing.streams import TIMING, stream
from tidegate.tasks import Batch, Task

#: A run has diverged when its loss is this many times that of its first step, or not finite.
LIMIT = 1000.0
ENOUGH = 0.5  # seconds for which steps are timed


@dataclass
class Trainer:
    """Steps of gradient descent; `seconds` is the processor time of this thread in the `done` steps so far."""

    network: Network
    task: Task
    job: Job
    done: int = 0
    seconds: float = 0.0
    first_loss: float = math.nan

    def __post_init__(self) -> None:
        self.parameters = list(self.network.parameters())
        optimizers = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}
        self.optimizer = optimizers[self.job.optimizer](self.parameters, lr=self.job.lr)

    def warm_up(self, batch: Batch) -> None:
        """Run a step that changes nothing: kernels are compiled at their first use, which would count as time."""
        self.gradient(batch)

    def step(self, batch: Batch, k: int) -> str:
        """One step; returns why the run has diverged, and "" where it has not. Weights are then left as they were."""
        begin = time.thread_time()
        loss, norm = self.gradient(batch)
        if k == 1:
            self.first_loss = loss
        reason = self.divergence(loss, norm)
        if not reason:
            self.optimizer.step()
            self.done = k
        self.seconds += time.thread_time() - begin
        return f"diverged at step {k:,}: {reason}" if reason else ""

    def divergence(self, loss: float, norm: float) -> str:
        """What shows that the run has diverged, "" where nothing does."""
        if not math.isfinite(loss) or not math.isfinite(norm):
            return f"loss {loss:.3g}, gradient norm {norm:.3g}"
        if 0 < LIMIT * self.first_loss < loss:
            return f"loss {loss:.3g}, {LIMIT:,.0f} times that of the first step"
        return ""

    def gradient(self, batch: Batch) -> tuple[float, float]:
        """The loss and the norm of its gradient before it is clipped."""
        self.optimizer.zero_grad()
        loss = self.task.loss(self.network(batch), batch)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.parameters, self.job.clip)
        return loss.item(), norm.item()


def timed(job: Job) -> float:
    """The seconds of processor time of a training step of a job: the median over half a second, from 5 to 200 steps."""
    task = job.task.make()
    batch = task.batch(job.batch, stream(TIMING, 0))
    with ONE_THREAD:
        with drawing(0):
            network = initial_network(serial.loads(job.cell), task, job.hidden, job.layers, "default", len(batch.x))
        trainer = Trainer(network, task, job)
        trainer.warm_up(batch)
        seconds = [0.0]
        while len(seconds) <= 5 or (trainer.seconds < ENOUGH and len(seconds) <= 200):
            trainer.step(batch, len(seconds))
            seconds.append(trainer.seconds)
    return float(np.median(np.diff(seconds)))
