import copy
import math
from itertools import pairwise

import pytest
import torch

from tidegate.text import Part
from tidegate.train.evaluate import evaluate, perplexity


@pytest.fixture
def model(trainer_of):
    model = trainer_of(cell="lstm").model
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)  # scores that depend on the past
    return model.eval()


def by_hand(model, ids):
    """The nats of ids[1:], one step at a time."""
    total, state = 0.0, None
    with torch.no_grad():
        for now, following in pairwise(ids):
            scores, state = model(now.view(1, 1), state)
            total -= scores[0, 0].log_softmax(0)[following].item()
    return total


def part(ids):
    return Part(ids, len(ids) - 1, 0)


def test_one_stream_carries_the_state_from_the_first_token_to_the_last(model, dataset):
    ids = dataset.heldout.ids[:]
    score = evaluate(model, part(ids), streams=1)
    assert score.tokens == len(ids) - 1
    assert score.nats * score.tokens == pytest.approx(by_hand(model, ids), rel=1e-5)


@pytest.mark.parametrize("streams", [2, 3, 7, 10_000])
def test_several_streams_predict_every_token_once_from_a_zero_state_each(model, dataset, streams):
    ids = dataset.heldout.ids[:]
    score = evaluate(model, part(ids), streams=streams)
    length = math.ceil((len(ids) - 1) / score.streams)
    expected = sum(by_hand(model, ids[begin : begin + length + 1]) for begin in range(0, len(ids) - 1, length))
    assert score.nats * (len(ids) - 1) == pytest.approx(expected, rel=1e-5)


def test_memory_is_bounded_without_a_change_of_the_result(model, dataset, monkeypatch):
    whole = evaluate(model, dataset.heldout, streams=2)
    monkeypatch.setattr("tidegate.train.evaluate.SCORES_AT_ONCE", 500)
    assert evaluate(model, dataset.heldout, streams=2).nats == pytest.approx(whole.nats, rel=1e-6)


def test_a_uniform_model_scores_the_logarithm_of_its_vocabulary(model, dataset):
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.zero_()
    score = evaluate(model, dataset.heldout)
    V = len(dataset.vocabulary)
    assert score.perplexity == pytest.approx(V, rel=1e-5)
    assert score.bpc == pytest.approx(math.log2(V), rel=1e-5)


def test_bits_are_per_character_and_perplexity_is_per_token(model, dataset):
    ids = dataset.heldout.ids[:]
    score = evaluate(model, Part(ids, 4 * (len(ids) - 1), 0))  # tokens of four characters
    assert score.bpc == pytest.approx(math.log2(score.perplexity) / 4, rel=1e-6)


def test_evaluation_turns_dropout_off_and_leaves_the_model_training(trainer_of, dataset):
    model = trainer_of(dropout=0.5).model
    model.train()
    assert evaluate(model, dataset.heldout).nats == evaluate(model, dataset.heldout).nats
    assert model.training


def test_a_perplexity_beyond_the_range_of_a_float_is_infinite():
    assert perplexity(1e9) == math.inf
    assert perplexity(0.0) == 1.0


def test_a_dtype_scores_the_model_with_rounded_weights(model, dataset):
    ids = dataset.heldout.ids[:]
    found = evaluate(model, part(ids), streams=3, dtype="bfloat16")
    rounded = copy.deepcopy(model)
    for name, parameter in rounded.named_parameters():
        if "weight" in name:
            parameter.data = parameter.data.bfloat16().float()
    assert found.nats == pytest.approx(evaluate(rounded, part(ids), streams=3).nats, rel=1e-6)
    assert found.nats != pytest.approx(evaluate(model, part(ids), streams=3).nats, rel=1e-6)
