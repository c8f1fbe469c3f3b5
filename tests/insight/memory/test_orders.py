"""N-gram orders on the targets of a memory horizon."""

from collections import Counter

import numpy as np
import pytest
from tests.insight.models import random_model, repeating, shift_register

from tidegate.insight.memory.horizon import memory_horizon
from tidegate.text import TokenArray


def probability(train, context, token, vocabulary):
    """Witten and Bell's interpolation, counted anew."""
    lower = 1 / vocabulary if not context else probability(train, context[1:], token, vocabulary)
    k = len(context)
    after = Counter(train[i + k] for i in range(len(train) - k) if train[i : i + k] == context)
    if not after:
        return lower
    return (after[token] + len(after) * lower) / (after.total() + len(after))


@pytest.fixture(scope="module")
def measured():
    x, train = repeating(3, 2, 1700, seed=1), repeating(3, 2, 400, seed=2)
    return x, train, memory_horizon(shift_register(3, 2, 2.0), x, train=train, longest=8, targets=64, max_order=3)


def test_the_loss_of_an_order_is_that_of_counts_on_the_training_text(measured):
    x, train, found = measured
    tokens = x.tolist()
    for k, nats in enumerate(found.orders.nats):
        losses = [-np.log(probability(train.tolist(), tokens[p - k : p], tokens[p], 3)) for p in found.positions]
        assert nats == pytest.approx(np.mean(losses), rel=1e-9)
        means = np.mean(np.reshape(losses, (found.blocks, -1)), 1)
        assert found.orders.error[k] == pytest.approx(means.std(ddof=1) / np.sqrt(len(means)), rel=1e-9)
    assert found.orders.counted == 400


def test_the_register_of_two_tokens_equals_the_orders_that_it_beats(measured):
    _, _, found = measured
    own = dict(zip(found.lengths.tolist(), found.zero))
    for nats, n in zip(found.orders.nats, found.orders.equivalent):
        expected = [length for length, loss in own.items() if loss <= nats]
        assert n == (min(expected) if expected else None)
    assert found.orders.equivalent[2] == 2
    assert found.orders.best in (2, 3)
    assert found.orders.lead == pytest.approx(found.orders.nats.min() - found.full, rel=1e-9)
    assert not found.orders.undertrained


def test_a_model_that_is_worse_than_counting_is_undertrained_and_has_no_equivalent():
    x, train = repeating(3, 2, 1700, seed=1), repeating(3, 2, 4000, seed=2)
    found = memory_horizon(random_model("gru", 3), x, train=train, longest=8, targets=200, max_order=3).orders
    assert found.undertrained
    assert found.equivalent[2] is None
    assert found.short == (1, 2, 3)
    assert {2, 3} <= set(found.worse)
    assert found.lead < 0


def test_without_a_training_text_there_are_no_orders():
    x = repeating(3, 2, 1700, seed=1)
    assert memory_horizon(shift_register(3, 2, 2.0), x, longest=4, targets=64).orders is None


def test_tokens_in_a_file_form_are_counted_like_a_tensor():
    x, train = repeating(3, 2, 1700, seed=1), repeating(3, 2, 900, seed=2)
    model = shift_register(3, 2, 2.0)
    mapped = TokenArray(train.numpy().astype(np.uint8))
    first, second = (memory_horizon(model, x, train=given, longest=4, targets=64) for given in (train, mapped))
    np.testing.assert_array_equal(first.orders.nats, second.orders.nats)
