"""What a job does: train one network on one task, evaluating it on sequences that it is not trained on."""

import math
from typing import Any

from tidegate.calculus import serial
from tidegate.comparing.final import evaluate, final
from tidegate.comparing.job import Job
from tidegate.comparing.network import initial_network, recurrent_weights
from tidegate.comparing.one_thread import ONE_THREAD, drawing
from tidegate.comparing.streams import EVALUATION, TIMING, TRAINING, WEIGHTS, number, stream
from tidegate.comparing.trainer import Trainer
from tidegate.tasks import Batch, Task


def run(job: Job) -> dict[str, Any]:
    """Run a job on one thread; never raises. The result is JSON values, the fields of `comparing.outcome.Outcome`.

    An exception becomes the status "failed" with its text, because one that leaves a job would end all others.
    """
    with ONE_THREAD:
        try:
            return {"seed": job.seed, **train(job)}
        except Exception as error:
            return {"seed": job.seed, "status": "failed", "reason": f"{type(error).__name__}: {error}"}


def train(job: Job) -> dict[str, Any]:
    """Train until the task is solved at two evaluations in a row, the steps are used up, or the loss diverges."""
    task, step = job.task.make(), serial.loads(job.cell)
    heldout, example = task.heldout(), task.batch(job.batch, stream(TIMING, 0))
    with drawing(number(WEIGHTS, job.seed)):
        network = initial_network(step, task, job.hidden, job.layers, job.init, T=len(example.x))
    trainer = Trainer(network, task, job)
    trainer.warm_up(example)
    curve, reason = descend(trainer, heldout)
    measured: dict[str, Any] = {} if reason else final(network, heldout, job)
    if not reason and not math.isfinite(measured["score"]):
        reason, measured = f"diverged at step {trainer.done:,}: its score on new sequences is not finite", {}
    solved = not reason and solved_twice(curve, heldout)
    return {
        "status": "diverged" if reason else "solved" if solved else "unsolved",
        "reason": reason,
        "curve": curve,
        "solved_at": curve[-2][0] if solved else None,
        "steps": trainer.done,
        "seconds": trainer.seconds,
        "weights": sum(parameter.numel() for parameter in network.parameters()),
        "recurrent_weights": recurrent_weights(step, task.input_size, job.hidden, job.layers),
        "state": network.state_size,
        "score": heldout.chance,
        **measured,
    }


def descend(trainer: Trainer, heldout: Task) -> tuple[list[tuple[int, float]], str]:
    """Train; returns the step and the score of every evaluation, the first of them before training, and why the run
    diverged, "" where it did not."""
    job, data = trainer.job, stream(TRAINING, trainer.job.seed)
    examined: Batch = heldout.batch(job.eval_size, stream(EVALUATION, 0))
    curve: list[tuple[int, float]] = []
    for k in range(job.steps + 1):
        reason = trainer.step(trainer.task.batch(job.batch, data), k) if k else ""
        if reason:
            return curve, reason
        if k % job.eval_every and k < job.steps:
            continue
        score = evaluate(trainer.network, heldout, examined)
        if not math.isfinite(score):
            return curve, f"diverged at step {k:,}: its score is not finite"
        curve.append((k, score))
        if solved_twice(curve, heldout):
            break
    return curve, ""


def solved_twice(curve: list[tuple[int, float]], task: Task) -> bool:
    """Whether the last two evaluations count as solved."""
    sign = 1 if task.higher_is_better else -1
    return len(curve) > 1 and all(sign * score >= sign * task.solved for _, score in curve[-2:])
