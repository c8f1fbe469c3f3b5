"""Sentences on predictions."""

from tidegate.insight.predictions import Predictions
from tidegate.insight.sentences.base import percent, sentence, token_name


@sentence.register
def _(figure: Predictions) -> str:
    one = token_name(figure.tokens_are)
    return (
        f"The loss is {figure.nats:.3f} nats per {one} (standard error {figure.nats_error:.3f}). The model predicts "
        f"the next {one} correctly in {percent(figure.right)} of {figure.tokens:,} cases; in "
        f"{percent(figure.among_five)} it is among the five most likely."
    )
