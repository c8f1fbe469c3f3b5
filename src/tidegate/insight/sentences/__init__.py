"""The results in words: `sentence(figure)`. Each file registers the sentences of its results."""

from tidegate.insight.sentences import gates, gradients, horizon, predictions, units  # noqa: F401
from tidegate.insight.sentences.base import sentence

__all__ = ["sentence"]
