"""The data of an ablation: passages of a text, and the values at which units are held."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tidegate.insight.reading import Reading
from tidegate.insight.tracking.features import is_on
from tidegate.insight.tracking.passages import Passages, cut
from tidegate.insight.tracking.sample import Sample
from tidegate.insight.tracking.states import Network

BLOCK = 200  # tokens and characters, at least
PASSAGES = 8
SCORES = 2**17  # for each counted token, on average


@dataclass(frozen=True)
class Experiment:
    """The passages of the test and the values at which units are held.

    on (N, F): where each feature is on, for the N = M * length counted tokens of the passages, passage by passage.
    means (layers, states, H): of every state. variance (layers, H): of the output states. drawn (T, R, layers, states,
    H): for each of the T tokens of the R passages the states at a random position of the text.
    """

    network: Network
    reading: Reading
    passages: Passages
    on: np.ndarray
    means: np.ndarray
    variance: np.ndarray
    drawn: np.ndarray

    def stride(self, variants: int) -> int:
        """Every how many counted tokens one is scored: 1, or more where the scores of a large vocabulary would take
        most of the time."""
        return max(1, -(-variants * self.network.head.out_features // SCORES))

    def steps(self, stride: int) -> range:
        """The steps of each passage that are scored."""
        return range(self.passages.warmup, self.passages.warmup + self.passages.length, stride)

    def scored(self, stride: int) -> np.ndarray:
        """Whether each of the N counted tokens is scored."""
        return np.tile(np.arange(self.passages.length) % stride == 0, len(self.passages))


def experiment_on(b: Sample, tokens: int, generator: np.random.Generator) -> Experiment:
    """The Experiment on about `tokens` tokens of the text of the Sample, with its states."""
    network = b.network
    passages = cut(b.reading, "confirm", positions=tokens, most=PASSAGES)
    sizes = network.layer.num_layers, len(network.step.state), network.layer.hidden_size
    values = b.values[passages.counted]
    on = np.stack([is_on(values[:, :, f]).ravel() for f in range(values.shape[2])], 1)
    means = b.states.mean((0, 1), dtype=np.float64).reshape(sizes)
    variance = b.states.var((0, 1), dtype=np.float64).reshape(sizes)[:, 0]
    places = generator.integers(b.states[:, :, 0].size, size=(passages.warmup + passages.length, len(passages)))
    drawn = b.states.reshape(-1, b.states.shape[-1])[places].reshape(*places.shape, *sizes)
    return Experiment(network, b.reading, passages, on, means, variance, drawn)


def blocks(experiment: Experiment) -> np.ndarray:
    """The number of the block of each counted token, (N,): equal parts of every passage, of at least 200 tokens and
    200 characters."""
    reading, length = experiment.reading, experiment.passages.length
    tokens = BLOCK * max(1.0, len(reading) / len(reading.text))
    each = max(1, int(length // tokens))
    place = np.arange(length) * each // length
    return (np.arange(len(experiment.passages))[:, None] * each + place).ravel()
