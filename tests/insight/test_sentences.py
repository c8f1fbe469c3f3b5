"""Sentences: names and units that a reader of the page knows, without a look at the code."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.insight.small import make_layer

from tidegate.insight import connectivity, gates, gradient_lag, jacobians, lyapunov
from tidegate.insight.sentences.base import named, steps


@pytest.mark.parametrize(("count", "tokens_are", "words"), [
    (1, None, "1 step"), (0.374, "char", "0.37 characters"), (1234, "byte", "1,234 bytes"), (17.6, "word", "18 words"),
    (np.inf, "char", "infinite"),
])  # fmt: skip
def test_a_number_of_steps_is_given_in_tokens_of_a_known_vocabulary(count, tokens_are, words):
    assert steps(count, tokens_are) == words


@pytest.mark.parametrize(("traced", "words"), [
    ("z_l0", "gate z of layer 0"), ("z_l12_reverse", "gate z of layer 12 (backward direction)"),
    ("keep_l_l1", "gate keep_l of layer 1"),
])  # fmt: skip
def test_a_name_of_a_trace_is_written_in_words(traced, words):
    assert named("gate", traced) == words


def test_a_layer_has_steps_and_a_model_of_characters_has_characters():
    x = torch.randn(40, 2, 3, dtype=torch.float64)
    layer = make_layer("gru")
    found = (gradient_lag(layer, x, longest=8), lyapunov(layer, x, warmup=5, k=1), gates(layer, x),
             connectivity(layer, x[:, :1], longest=8))  # fmt: skip
    for figure in found:
        assert figure.tokens_are is None
        assert "step" in str(figure)
        assert "character" not in str(figure)
        words = str(replace(figure, tokens_are="char"))
        assert "character" in words
        assert "step" not in words
    assert "_l0" not in str(found[2])
    assert "One step multiplies" in str(jacobians(layer, x, steps=1, longest=4))
