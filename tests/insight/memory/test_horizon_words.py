"""The memory horizon in words and as plots."""

import json
from dataclasses import replace

import numpy as np
import pytest
from tests.insight.models import random_model, repeating, shift_register

from tidegate.insight import memory_horizon
from tidegate.insight.memory.threshold import Horizon


@pytest.fixture(scope="module")
def register():
    x, train = repeating(3, 4, 2000, seed=1), repeating(3, 4, 3000, seed=2)
    return memory_horizon(shift_register(3, 4, 2.0), x, train=train, longest=12, targets=256, max_order=5)


def test_the_horizon_is_named_with_its_limit_and_the_best_order(register):
    words = str(register)
    assert "uses at most 4 tokens of context: with that many or more, its loss is less than 0.01 nats above" in words
    assert f"{register.full:.3f} ± {register.full_error:.3f} (standard error) nats per token" in words
    assert "If the state before them" not in words  # both curves have the same horizon
    more = replace(
        register, horizons=tuple(replace(h, tokens=9) if h.curve == "donor" else h for h in register.horizons)
    )
    assert "If the state before them comes from an unrelated text, 9 tokens are needed." in str(more)
    assert register.orders.equivalent[4] == 4
    assert "The best n-gram model, of order 4, predicts as well as this model with 4 tokens of context" in words
    assert repr(register) == f"<MemoryHorizon: {words}>"


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Horizon("zero", 0.01, 12, 8, 4, ""), "uses at most 12 tokens of context (95 % interval 4 to 12)"),
        (Horizon("zero", 0.01, 1, 1, 1, ""), "uses at most 1 token of context: with"),
        (Horizon("zero", 0.01, None, None, None, "longer"), "uses more than 12 tokens of context: with the last 12"),
        (
            Horizon("zero", 0.01, None, 12, 4, "cannot tell"),
            "do not decide whether 12 tokens of context are enough (to within 0.01 nats)",
        ),
    ],
)
def test_each_outcome_has_its_words(register, found, words):
    assert words in str(replace(register, horizons=(found, *register.horizons[1:]), used=found))


def test_the_memory_of_a_model_of_characters_is_given_in_characters(register):
    assert "uses at most 4 characters of context" in str(replace(register, tokens_are="char"))
    assert "last character by another" in str(replace(register.swap, tokens_are="char"))


def test_a_model_that_is_worse_than_counting_is_called_undertrained():
    x, train = repeating(3, 2, 1700, seed=1), repeating(3, 2, 4000, seed=2)
    found = memory_horizon(random_model("gru", 3), x, train=train, longest=4, targets=200, max_order=3)
    assert "The model is undertrained" in str(found)
    assert f"{-found.orders.lead:.3f} ± {found.orders.lead_error:.3f} nats worse" in str(found)


def test_the_sentences_of_the_swap_test_and_the_readout_give_their_numbers(register):
    assert "For a token at lag 6 or more, the change is below 0.01 nats" in str(register.swap)
    assert "at lag 12, the longest measured, the change is 0.0000 ± 0.0000 nats" in str(
        replace(register.swap, fades=None)
    )
    assert (
        f"A linear readout of state h of layer 0 recovers {register.readout.capacity:.1f} of the last 3 tokens"
        in str(register.readout)
    )


def test_each_result_is_json_and_a_plot(register):
    for figure in (register, register.swap, register.readout, replace(register, orders=None)):
        assert json.loads(json.dumps(figure.as_dict(), allow_nan=False)) == figure.as_dict()
        axes = figure.plot()
        assert axes.get_xlabel()
        assert figure.plot(axes) is axes
        assert figure._repr_html_().startswith("<figure><img")
    lines = {line.get_label(): line for line in register.plot().get_lines()}
    np.testing.assert_array_equal(lines["from the zero state"].get_ydata(), register.zero)
    np.testing.assert_array_equal(lines["n-gram model of that order"].get_xdata(), [1, 2, 3, 4, 5])
