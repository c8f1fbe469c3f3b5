"""Predictions against torch's cross-entropy and softmax, token by token."""

import numpy as np
import pytest
import torch
from tests.insight.small import make_layer

import tidegate
from tidegate.errors import ArgumentTypeError, ShapeError
from tidegate.insight.predictions import mean_error, predictions


def test_losses_and_guesses_are_those_of_torch(cell):
    torch.manual_seed(0)
    model = tidegate.LanguageModel(make_layer(cell).cell, 9, 6, layers=2).double().eval()
    tokens = torch.randint(9, (30,))
    found = predictions(model, tokens)
    scores = model(tokens[:-1, None])[0][:, 0].detach()
    loss = torch.nn.functional.cross_entropy(scores, tokens[1:], reduction="none")
    np.testing.assert_allclose(found.loss, loss, rtol=1e-10)
    assert found.nats == pytest.approx(loss.mean().item())
    chance, best = scores.softmax(-1).topk(5)
    np.testing.assert_array_equal(found.best, best)
    np.testing.assert_allclose(found.best_probability, chance, rtol=1e-10)
    assert found.right == pytest.approx((scores.argmax(-1) == tokens[1:]).double().mean().item())
    assert found.among_five == pytest.approx((best == tokens[1:, None]).any(-1).double().mean().item())


def test_several_sequences_give_the_mean_alone_and_few_tokens_fewer_guesses():
    found = predictions(tidegate.LanguageModel("gru", 3, 4), torch.randint(3, (20, 2)))
    assert found.loss is None
    assert found.tokens == 38
    assert predictions(tidegate.LanguageModel("gru", 3, 4), torch.randint(3, (20,))).best.shape == (19, 3)


def test_the_error_of_a_mean_is_that_of_independent_values():
    values = np.random.default_rng(0).standard_normal((4000, 16))
    assert mean_error(values) == pytest.approx(1 / np.sqrt(values.size), rel=0.15)
    assert np.isnan(mean_error(values[:100, :1]))


def test_a_layer_predicts_nothing_and_one_token_is_too_short():
    with pytest.raises(ArgumentTypeError, match="must be a language model"):
        predictions(make_layer("gru"), torch.randn(5, 3, dtype=torch.float64))
    with pytest.raises(ShapeError, match="at least 2 steps for one prediction"):
        predictions(tidegate.LanguageModel("gru", 3, 4), torch.tensor([1]))
