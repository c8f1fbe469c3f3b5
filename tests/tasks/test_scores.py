"""Batches of consistent shapes, and scores over the steps with a target."""

import math

import pytest
import torch

from tidegate.errors import DataError, ShapeError
from tidegate.tasks import IGNORE, Batch
from tidegate.tasks.scores import accuracy, cross_entropy, share_of_sequences, squared_error

CLASSES = Batch(torch.zeros(3, 2, dtype=torch.int64), torch.tensor([[IGNORE, 1], [0, IGNORE], [2, 2]]))


def test_accuracy_counts_the_steps_with_a_target_and_a_sequence_is_right_as_a_whole():
    outputs = torch.zeros(3, 2, 3)
    outputs[0, 1, 1] = outputs[1, 0, 0] = outputs[2, 0, 2] = 1.0
    assert accuracy(outputs, CLASSES) == 3 / 4
    assert share_of_sequences(outputs, CLASSES) == 1 / 2


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_an_output_that_is_not_a_number_is_a_wrong_answer(bad):
    outputs = torch.zeros(3, 2, 3)
    outputs[2, :, 2] = bad
    assert accuracy(outputs, CLASSES) == 1 / 4  # of the four, the 0 at step 1 is what equal outputs give
    assert math.isnan(squared_error(torch.full((1, 1, 1), math.nan), features(1.0)))


def test_cross_entropy_is_the_mean_over_the_steps_with_a_target_in_nats():
    outputs = torch.randn(3, 2, 3, generator=torch.Generator().manual_seed(0)).double()
    p = outputs.softmax(-1)
    expected = -sum(math.log(p[t, b, k]) for t, b, k in ((0, 1, 1), (1, 0, 0), (2, 0, 2), (2, 1, 2))) / 4
    assert float(cross_entropy(outputs, CLASSES)) == pytest.approx(expected)


def features(*values):
    return Batch(torch.zeros(len(values), 1, 1), torch.tensor(values).reshape(-1, 1, 1))


def test_the_squared_error_and_its_gradient_ignore_the_steps_without_a_target():
    batch = features(math.nan, 2.0, 4.0)
    outputs = torch.tensor([9.0, 3.0, 1.0]).reshape(3, 1, 1).requires_grad_(True)
    loss = squared_error(outputs, batch)
    loss.backward()
    assert float(loss.detach()) == (1 + 9) / 2
    assert outputs.grad.flatten().tolist() == [0, 1, -3]


def test_a_batch_without_a_target_cannot_be_scored():
    silent = Batch(torch.zeros(2, 1, dtype=torch.int64), torch.full((2, 1), IGNORE))
    for use in (accuracy, cross_entropy, share_of_sequences):
        with pytest.raises(DataError, match="has no target at any step"):
            use(torch.zeros(2, 1, 3), silent)
    with pytest.raises(DataError, match="has no target at any step"):
        squared_error(torch.zeros(1, 1, 1), features(math.nan))


@pytest.mark.parametrize(
    ("x", "target", "resets", "message"),
    [
        ((5,), (5,), None, "`x` and `target` must have shape"),
        ((5, 2), (2, 5), None, r"`target` must begin with \(T, B\) = \(5, 2\)"),
        (
            (5, 2),
            (5, 2),
            torch.zeros(5, 2, dtype=torch.bool),
            r"must be torch.bool of shape \(B, T\) = \(2, 5\)",
        ),
        ((5, 2), (5, 2), torch.zeros(2, 5), "got torch.float32 of shape"),
    ],
)
def test_a_batch_with_inconsistent_shapes_raises_an_error(x, target, resets, message):
    with pytest.raises(ShapeError, match=message):
        Batch(torch.zeros(x, dtype=torch.int64), torch.zeros(target, dtype=torch.int64), resets)
