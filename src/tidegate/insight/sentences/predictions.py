"""Sentences on predictions."""

from tidegate.insight.predictions import Predictions
from tidegate.insight.sentences.base import percent, sentence


@sentence.register
def _(figure: Predictions) -> str:
    return (
        f"The loss is {figure.nats:.3f} nats per token (standard error {figure.nats_error:.3f}); the next token has "
        f"the highest probability in {percent(figure.right)} of {figure.tokens:,} cases, and is among the five highest "
        f"in {percent(figure.among_five)}."
    )
