"""The memory horizon: of models whose horizon is known, and of any cell against the reference engine."""

import json

import numpy as np
import pytest
import torch
from tests.insight.models import Mixer, random_model, repeating, scores_alone, shift_register, tokens

import tidegate
from tidegate.cells import CELLS
from tidegate.errors import ArgumentError, ArgumentTypeError, ShapeError
from tidegate.insight.memory.horizon import memory_horizon
from tidegate.text import Vocabulary

SMALL = {"longest": 12, "targets": 100}


def loss_alone(model, x, positions, n):
    """The mean loss of the targets after the n tokens before each, from the zero state."""
    windows = torch.stack([x[p - n : p] for p in positions], 1)
    return -scores_alone(model, windows).gather(1, x[positions][:, None]).mean().item()


@pytest.mark.parametrize("cell", [*CELLS, Mixer])
@pytest.mark.parametrize("layers", [1, 2])
def test_a_loss_is_that_of_the_reference_on_the_last_n_tokens_alone(cell, layers):
    model, x = random_model(cell, layers=layers), tokens(5, 1777)
    model.head.weight.data *= 4
    found = memory_horizon(model, x, **SMALL)
    assert found.lengths.tolist() == [1, 2, 3, 4, 6, 8, 12]
    for n, loss in zip(found.lengths, found.zero):
        assert loss == pytest.approx(loss_alone(model, x, found.positions, n), rel=1e-5)
    np.testing.assert_allclose(found.zero_delta, found.zero - found.full, atol=1e-12)
    np.testing.assert_allclose(found.donor_delta, found.donor - found.full, atol=1e-12)
    assert found.context >= 24
    assert found.swap.kl.shape == found.lengths.shape
    assert found.readout.states == tuple(f"{s}_l{layers - 1}" for s in model.step.state)
    json.dumps(found.as_dict(), allow_nan=False)


@pytest.mark.parametrize("m", [1, 3, 6, 12])
def test_a_shift_register_has_its_length_as_horizon(m):
    x = repeating(4, m, 2200, seed=m)
    found = memory_horizon(shift_register(4, m, 3.0), x, longest=16, targets=300)
    assert [each.tokens for each in found.horizons] == [m] * 4
    assert [each.curve for each in found.horizons] == ["zero", "zero", "donor", "donor"]
    enough = found.lengths >= m
    np.testing.assert_allclose(found.zero_delta[enough], 0, atol=1e-6)
    np.testing.assert_allclose(found.zero[~enough], np.log(4), rtol=1e-6)  # an empty slot says nothing
    assert (found.donor[~enough] > np.log(4)).all()  # another token's slot misleads
    positions = found.positions
    right = (x[positions] == x[positions - m]).double().numpy()
    assert found.full == pytest.approx((np.log(np.exp(3) + 3) - 3 * right).mean(), rel=1e-6)


def test_a_register_between_two_measured_lengths_has_the_longer_one():
    found = memory_horizon(shift_register(3, 5, 3.0), repeating(3, 5, 2200, seed=1), longest=16, targets=300)
    assert {each.tokens for each in found.horizons} == {6}


def test_the_horizon_of_a_register_is_found_with_every_seed():
    model, x = shift_register(3, 3, 2.0), repeating(3, 3, 2000, seed=5)
    found = [memory_horizon(model, x, longest=8, targets=64, seed=seed) for seed in range(12)]
    assert [each.horizons[0].tokens for each in found] == [3] * 12
    assert len({tuple(each.positions) for each in found}) == 12


def test_a_register_longer_than_the_longest_context_gives_longer_or_cannot_tell():
    x = repeating(4, 12, 9000, seed=2)
    found = memory_horizon(shift_register(4, 12, 3.0), x, longest=8, targets=4000).horizons[0]
    assert (found.tokens, found.reason) == (None, "cannot tell")  # the standard error of Delta is 0.02 nats
    weak = memory_horizon(shift_register(4, 12, 0.5), x, longest=8, targets=4000).horizons[0]
    assert (weak.tokens, weak.reason) == (None, "longer")


def test_the_same_seed_gives_the_same_figures():
    model, x = random_model("gru"), tokens(5, 1700)
    first, second = (memory_horizon(model, x, **SMALL, seed=3).as_dict() for _ in range(2))
    assert first == second


@pytest.mark.parametrize("kind", ["char", "byte", "word"])
def test_a_text_is_measured_in_the_tokens_of_the_vocabulary(tmp_path, kind):
    random = np.random.default_rng(0)
    words = random.choice(["sea", "é", "boat", "wind", "(or)"], 1900)
    text = " ".join(words)
    vocabulary = Vocabulary.build(list(text) if kind == "char" else words.tolist(), kind)
    tidegate.save(tmp_path / "run", random_model("gru", len(vocabulary)), vocabulary)
    trained = tidegate.load(tmp_path / "run")
    found = memory_horizon(trained, text, **SMALL)
    assert found.tokens_are == found.swap.tokens_are == found.readout.tokens_are == kind
    length = {"char": len(text), "byte": len(text.encode()), "word": len(words)}[kind]
    assert length - found.span < found.positions.max() < length


def test_a_text_of_the_least_length_has_the_fewest_blocks_and_as_many_targets_as_fit():
    found = memory_horizon(random_model("lstm"), tokens(5, 1624), longest=12, targets=10**6)
    assert (found.blocks, found.span, len(found.positions)) == (8, 200, 1600)


def test_one_token_of_context_is_measured():
    found = memory_horizon(random_model("gru"), tokens(5, 1700), longest=1, targets=50, max_order=0)
    assert found.lengths.tolist() == [1]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"data": tokens(5, 1623)}, ShapeError, "at least 1624 steps for a memory horizon of up to 12 tokens"),
        ({"data": tokens(5, 3600).reshape(1800, 2)}, ShapeError, "one sequence"),
        ({"data": torch.randn(1800, 5)}, ShapeError, "one sequence"),
        ({"data": torch.zeros(1800, dtype=torch.long)}, ArgumentError, "at least 2 different tokens"),
        ({"data": "a text"}, ArgumentTypeError, "vocabulary"),
        ({"longest": 0}, ArgumentError, "`longest` must be at least 1, got 0"),
        ({"targets": 0}, ArgumentError, "`targets` must be at least 1, got 0"),
        ({"max_order": -1}, ArgumentError, "`max_order` must be at least 0, got -1"),
        ({"seed": -1}, ArgumentError, "`seed` must be at least 0, got -1"),
        ({"train": torch.tensor([1])}, ShapeError, "`train`"),
        ({"train": torch.tensor([1, 9])}, ArgumentError, "`train`"),
        ({"model": tidegate.GRU(5, 6)}, ArgumentTypeError, "language model"),
    ],
)  # fmt: skip
def test_bad_arguments_are_named(changes, error, words):
    given = {"model": random_model("gru"), "data": tokens(5, 1700), **SMALL} | changes
    with pytest.raises(error, match=words.replace("(", r"\(")):
        memory_horizon(given.pop("model"), given.pop("data"), **given)


def test_weights_that_are_not_finite_are_refused():
    model = random_model("gru")
    model.head.bias.data[1] = float("nan")
    with pytest.raises(ArgumentError, match=r"head.*bias|bias.*NaN"):
        memory_horizon(model, tokens(5, 1700), **SMALL)
