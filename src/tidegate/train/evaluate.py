"""Evaluation: the nats of every token of a text, with the state carried across it."""

import math
from dataclasses import dataclass

import torch

from tidegate.text import Part, heldout_windows
from tidegate.train.model import LanguageModel, cross_entropy

SCORES_AT_ONCE = 2**22  # entries of one (T, B, V) tensor of scores: bounds the memory, not the result
STREAM = 2000  # tokens that a stream holds at least, where the number of streams is not given
STREAMS = 32  # and how many streams there are at most


@dataclass(frozen=True)
class Score:
    """What a model pays for a text: `nats` per token, over `tokens` predicted tokens read in `streams` streams."""

    nats: float
    bpc: float
    tokens: int
    streams: int

    @property
    def perplexity(self) -> float:
        """exp(nats per token). Comparable between models with the same tokens; bits per character between all."""
        return perplexity(self.nats)


def perplexity(nats: float) -> float:
    """exp(nats), infinite where that is beyond a float."""
    return math.exp(nats) if nats < 700 else math.inf


@torch.no_grad()
def evaluate(model: LanguageModel, part: Part, *, streams: int | None = None) -> Score:
    """Predict every token of `part` but its first from those before it.

    The text is cut into `streams` equal stretches that are read side by side. Within a stretch the state is carried
    from its first token to its last; each stretch begins from the zero state. One stream reads the whole text in
    one, as slowly as it is long; by default there are as many as keep 2,000 tokens each, at most 32.
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
