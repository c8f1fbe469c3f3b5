"""Language models whose use of the context is known: shift registers written as weights of a relu RNN."""

import numpy as np
import torch

import tidegate


class Mixer(tidegate.Cell):
    """A cell of two states that exists in the tests alone."""

    gates = ("f", "n")
    state = ("h", "m")
    vectors = ("p",)

    def equations(a, U, v, h, m):
        f = tidegate.sigmoid(a.f + U.f(h) + v.p * m)
        n = tidegate.tanh(a.n + U.n(f * h))
        m = f * m + (1 - f) * n
        return (tidegate.tanh(m + n), m), (f, n)


def random_model(cell, vocabulary=5, hidden=6, *, layers=1, seed=0, **options):
    torch.manual_seed(seed)
    return tidegate.LanguageModel(cell, vocabulary, hidden, layers=layers, **options)


def shift_register(vocabulary: int, slots: int, score: float) -> tidegate.LanguageModel:
    """Its state is the one-hot vectors of the last `slots` tokens, slot 0 the newest; the token in the oldest slot has
    the score `score`, every other 0."""
    model = tidegate.LanguageModel("rnn-relu", vocabulary, vocabulary * slots)
    own = np.eye(vocabulary)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.recurrent.weight_ih_l0[:vocabulary] = torch.from_numpy(own)
        model.recurrent.weight_hh_l0[:] = torch.from_numpy(np.eye(vocabulary * slots, k=-vocabulary))
        model.head.weight[:, -vocabulary:] = score * torch.from_numpy(own)
    return model


def repeating(vocabulary: int, lag: int, length: int, seed: int, share: float = 0.7) -> torch.Tensor:
    """Tokens (length,): x[t] = x[t - lag] in a `share` of the steps, else drawn uniformly."""
    random = np.random.default_rng(seed)
    x = random.integers(vocabulary, size=length)
    for t in np.flatnonzero(random.random(length) < share):
        if t >= lag:
            x[t] = x[t - lag]
    return torch.from_numpy(x)


def tokens(vocabulary: int, length: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(vocabulary, size=length))


def scores_alone(model: tidegate.LanguageModel, x: torch.Tensor, state=None) -> torch.Tensor:
    """The log probabilities (B, V) after x (T, B), in float64 on the reference engine."""
    exact = tidegate.LanguageModel(model.step, model.head.out_features, model.head.in_features,
                                   layers=model.recurrent.num_layers, engine="reference").double()  # fmt: skip
    exact.load_state_dict({name: value.double() for name, value in model.state_dict().items()})
    with torch.no_grad():
        return exact.eval()(x, state)[0][-1].log_softmax(-1)
