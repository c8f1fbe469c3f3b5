"""Losses and scores: means over the steps of a batch that have a target."""

import torch
from torch import Tensor
from torch.nn import functional

from tidegate.errors import DataError
from tidegate.tasks.batch import Batch
from tidegate.text import IGNORE


def cross_entropy(outputs: Tensor, batch: Batch) -> Tensor:
    """-mean ln softmax(outputs)[target] over the steps with a target, in nats: a scalar. outputs (T, B, K)."""
    _check_asked(batch)
    return functional.cross_entropy(outputs.flatten(0, 1), batch.target.flatten(), ignore_index=IGNORE)


def squared_error(outputs: Tensor, batch: Batch) -> Tensor:
    """mean (outputs - target)^2 over the steps with a target and the K features: a scalar. outputs (T, B, K)."""
    _check_asked(batch)
    return (outputs[batch.asked] - batch.target[batch.asked]).square().mean()


def accuracy(outputs: Tensor, batch: Batch) -> float:
    """The share of the steps with a target at which the largest of the outputs (T, B, K) is that of the target."""
    _check_asked(batch)
    return float(right(outputs, batch)[batch.asked].double().mean())


def share_of_sequences(outputs: Tensor, batch: Batch) -> float:
    """The share of the sequences that are right at every step with a target. outputs (T, B, K)."""
    _check_asked(batch)
    return float((right(outputs, batch) | ~batch.asked).all(0).double().mean())


def right(outputs: Tensor, batch: Batch) -> Tensor:
    """(T, B) bool: whether the largest output is that of the target; false where an output is NaN or infinite."""
    return (outputs.argmax(-1) == batch.target) & torch.isfinite(outputs).all(-1)


def _check_asked(batch: Batch) -> None:
    if not batch.asked.any():
        raise DataError("the batch has no target at any step: a task must have a target at one step at least.")
