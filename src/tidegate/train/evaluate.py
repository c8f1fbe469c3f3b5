"""Evaluation: the loss of every token of a text, with the state carried from token to token."""

import math
from dataclasses import dataclass

import torch

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


@torch.no_grad()
def evaluate(model: LanguageModel, part: Part, *, streams: int | None = None) -> Score:
    """Predict every token of `part`, except the first, from the tokens before it.

    The text is cut into `streams` equal parts, the rows of a batch. Within a part the state is carried from its first
    token to its last; each part begins with the zero state. With one stream the state is carried through the entire
    text, which takes longest. By default there is one stream per 2,000 tokens, but at least 1 and at most 32.
    """
    predicted = len(part) - 1
    streams = min(streams or max(1, min(STREAMS, predicted // STREAM)), predicted)
    window = max(1, min(math.ceil(predicted / streams), SCORES_AT_ONCE // (streams * model.head.out_features)))
    was_training = model.training
    model.eval()
    state, total = None, 0.0
    device = model.head.weight.device
    for x, y in heldout_windows(part.ids, streams, window):
        scores, state = model(x.to(device), state)
        total += cross_entropy(scores, y.to(device), "sum").item()
    model.train(was_training)
    nats = total / predicted
    return Score(nats, part.bpc(nats), predicted, streams)
