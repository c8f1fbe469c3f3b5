"""The results in words: `sentence(figure)`."""

from tidegate.insight.sentences import gates, gradients, horizon, units  # noqa: F401, each registers its sentences
from tidegate.insight.sentences.base import sentence

__all__ = ["sentence"]
