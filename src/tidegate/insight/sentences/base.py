"""`sentence(figure)`: a result in words, with its numbers and their uncertainty. One file for each kind of result."""

import math
from functools import singledispatch

from tidegate.insight.figure import Figure

TOKENS = {"char": "character", "byte": "byte", "word": "word"}


@singledispatch
def sentence(figure: Figure) -> str:
    """What a figure shows, in one to three sentences."""
    raise NotImplementedError(f"no sentence is written for {type(figure).__name__}")


def token_name(tokens_are: str | None) -> str:
    """What a token is called: "character", "byte" or "word"; "token" without a vocabulary."""
    return "token" if tokens_are is None else TOKENS[tokens_are]


def step_name(tokens_are: str | None) -> str:
    """What a step reads, "character", "byte" or "word"; "step" for a layer or a model without a vocabulary."""
    return "step" if tokens_are is None else TOKENS[tokens_are]


def steps(count: float, tokens_are: str | None) -> str:
    """A number of steps, by what each reads, with two significant digits where it is not whole."""
    name = step_name(tokens_are)
    if math.isinf(count):
        return "infinite"
    if count == int(count) or count >= 10:
        return f"{count:,.0f} {name}{'s' * (round(count) != 1)}"
    return f"{count:.2g} {name}s"


def named(kind: str, traced: str) -> str:
    """A name of tidegate.trace in words: named("gate", "z_l1") is "gate z of layer 1"."""
    name, _, suffix = traced.rpartition("_l")
    layer, _, reverse = suffix.partition("_")
    return f"{kind} {name} of layer {layer}{' (backward direction)' if reverse else ''}"


def percent(share: float) -> str:
    """A share as a percentage."""
    return f"{100 * share:.0f} %" if share == 0 or share >= 0.01 else f"{100 * share:.1g} %"
