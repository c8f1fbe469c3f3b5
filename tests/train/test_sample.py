from collections import Counter

import pytest
import torch
from tests.engines.cpu.calls import EVERY

from tidegate.errors import ArgumentError, DivergenceError
from tidegate.train.model import LanguageModel
from tidegate.train.sample import check, draw, sample


def drawn(scores, n=4000, **settings):
    generator = torch.Generator().manual_seed(1)
    settings = {"temperature": 1.0, "top_k": 0} | settings
    return Counter(draw(scores, **settings, generator=generator) for _ in range(n))


def test_tokens_are_drawn_with_the_frequencies_of_the_softmax():
    scores = torch.tensor([0.0, 1.0, 2.0])
    counts, shares = drawn(scores), scores.softmax(0)
    assert all(abs(counts[k] / 4000 - shares[k]) < 0.03 for k in range(3))


def test_a_low_temperature_favours_and_zero_takes_the_most_likely_token():
    scores = torch.tensor([0.0, 1.0, 2.0])
    assert drawn(scores, temperature=0.5)[2] > drawn(scores)[2]
    assert drawn(scores, n=50, temperature=0) == {2: 50}


def test_top_k_draws_among_the_k_most_likely():
    assert drawn(torch.tensor([0.0, 3.0, 1.0, 2.0]), top_k=2).keys() == {1, 3}


def test_the_same_seed_gives_the_same_sample_and_the_excluded_token_is_never_drawn(trainer_of):
    model = trainer_of().model
    with torch.no_grad():
        model.head.bias[0] = 50.0

    def write(seed):
        generator = torch.Generator().manual_seed(seed)
        return list(sample(model, torch.tensor([1, 2]), 40, never=0, generator=generator))

    assert write(3) == write(3) != write(4)
    assert 0 not in write(3)


@pytest.mark.parametrize("temperature", [1e-30, 1e-45, 5e-324])
def test_the_smallest_temperatures_take_the_most_likely_token(temperature):
    scores = torch.tensor([-300.0, 2.0, 2.5, -1.0])
    assert draw(scores, temperature, 0, torch.Generator().manual_seed(0)) == 2


def test_the_sample_follows_its_prompt_with_the_state_carried(trainer_of):
    """With temperature 0, each token is the likeliest after all before it in one pass."""
    model = trainer_of(cell="lstm").model.eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)
    prompt = torch.tensor([3, 1, 4])
    tokens = list(sample(model, prompt, 10, temperature=0.0, generator=torch.Generator()))
    scores, _ = model(torch.cat((prompt, torch.tensor(tokens))).unsqueeze(1))
    assert scores[2:-1, 0].argmax(-1).tolist() == tokens


@pytest.mark.parametrize(
    ("settings", "option"),
    [
        ((0, 1.0, 0, 0), "--length"),
        ((9, -1.0, 0, 0), "--temperature"),
        ((9, 1.0, -1, 0), "--top-k"),
        ((9, 1.0, 0, 2**63), "--seed"),
    ],
)
def test_invalid_settings_are_refused_by_name(settings, option):
    with pytest.raises(ArgumentError, match=f"{option} must be .* got"):
        check(*settings)


def test_scores_that_are_not_finite_stop_the_sample(trainer_of):
    """A relu network of gain 1e20: its state overflows after two tokens."""
    model = trainer_of(cell="rnn-relu", hidden=2).model
    with torch.no_grad():
        model.recurrent.weight_hh_l0.fill_(1e20)
        model.recurrent.bias_ih_l0.fill_(1.0)
    with pytest.raises(
        DivergenceError, match=r"not finite after \d tokens, so no token can be drawn. Use a smaller --l"
    ):
        list(sample(model, torch.tensor([1]), 40, generator=torch.Generator()))


def test_an_empty_prompt_is_refused(trainer_of):
    with pytest.raises(ArgumentError, match="`prompt` must hold at least one token"):
        next(sample(trainer_of().model, torch.tensor([]), 1, generator=torch.Generator()))


def by_whole_sequences(model, prompt, length, seed):
    """The tokens drawn from the model over the whole text so far, again for every token."""
    generator, tokens = torch.Generator().manual_seed(seed), prompt.tolist()
    with torch.no_grad():
        for _ in range(length):
            scores, _ = model(torch.tensor(tokens).unsqueeze(1))
            tokens.append(draw(scores[-1, 0], 0.9, 5, generator))
    return tokens[len(prompt) :]


@pytest.mark.parametrize("name", EVERY)
def test_a_stream_draws_the_tokens_that_calls_of_the_model_draw(name):
    model = LanguageModel(EVERY[name], 19, 12, layers=2, dropout=0.5)
    for parameter in model.parameters():
        parameter.data.mul_(3)
    prompt = torch.tensor([7, 0, 18])
    drawn = list(sample(model, prompt, 30, temperature=0.9, top_k=5, generator=torch.Generator().manual_seed(4)))
    assert model.training
    assert drawn == by_whole_sequences(model.eval(), prompt, 30, 4)


def test_a_model_that_cannot_be_streamed_is_called():
    model, prompt = LanguageModel("gru", 19, 12, dropout=0.5).bfloat16(), torch.tensor([7, 0])
    drawn = list(sample(model, prompt, 9, temperature=0, generator=torch.Generator()))
    assert model.training
    scores, _ = model.eval()(torch.cat((prompt, torch.tensor(drawn))).unsqueeze(1))
    assert scores[1:-1, 0].argmax(-1).tolist() == drawn
