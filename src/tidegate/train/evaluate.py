"""Evaluation: the loss of every token of a text, with the state carried from token to token."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tidegate.nn import stream
from tidegate.text import Part, heldout_windows
from tidegate.train.model import LanguageModel, cross_entropy

SCORES_AT_ONCE = 2**22  # entries of one (T, B, V) tensor of scores: bounds the memory, not the result
STREAM = 2000  # minimum number of tokens in a stream when the number of streams is not given
STREAMS = 32  # maximum number of streams in that case


@dataclass(frozen=True)
class Score:
    """The score of a model on a text: `nats` per token, over `tokens` predicted tokens read in `streams` streams."""

    nats: float
    bpc: float
    tokens: int
    streams: int

    @property
    def perplexity(self) -> float:
        """exp(nats per token); comparable only between models with the same tokens."""
        return perplexity(self.nats)


def perplexity(nats: float) -> float:
    """exp(nats), infinite where the result exceeds the range of a float."""
    return math.exp(nats) if nats < 700 else math.inf


Scores = Callable[[Tensor], Tensor]


@torch.no_grad()
def evaluate(model: LanguageModel, part: Part, *, streams: int | None = None, dtype: str | None = None) -> Score:
    """Predict every token of `part`, except the first, from the tokens before it.

    The text is cut into `streams` equal parts, the rows of a batch. Within a part the state is carried from its first
    token to its last; each part begins with the zero state. With one stream the state is carried through the entire
    text, which takes longest. By default there is one stream per 2,000 tokens, but at least 1 and at most 32.

    With a `dtype` the scores are those of `tidegate.stream` with weights of that type.
    """
    predicted = len(part) - 1
    streams = min(streams or max(1, min(STREAMS, predicted // STREAM)), predicted)
    window = max(1, min(math.ceil(predicted / streams), SCORES_AT_ONCE // (streams * model.head.out_features)))
    was_training = model.training
    model.eval()
    total = 0.0
    scores_of = by_windows(model) if dtype is None else by_steps(model, streams, dtype)
    for x, y in heldout_windows(part.ids, streams, window):
        scores = scores_of(x)
        total += cross_entropy(scores, y.to(scores.device), "sum").item()
    model.train(was_training)
    nats = total / predicted
    return Score(nats, part.bpc(nats), predicted, streams)


def by_windows(model: LanguageModel) -> Scores:
    """A function from the next tokens (T, B) to their scores (T, B, V), with the state kept between calls."""
    state, device = None, model.head.weight.device

    def scores_of(x: Tensor) -> Tensor:
        nonlocal state
        scores, state = model(x.to(device), state)
        return scores

    return scores_of


def by_steps(model: LanguageModel, streams: int, dtype: str) -> Scores:
    """As `by_windows`, with weights stored in `dtype`, one step at a time."""
    s = stream(model, streams, dtype)

    def scores_of(x: Tensor) -> Tensor:
        return torch.stack([s.step(row) for row in x])

    return scores_of
