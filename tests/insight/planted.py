"""Language models with units whose role is known, and the texts that they read."""

import numpy as np
import torch
from tests.insight.small import OWN, MinimalGatedUnit

from tidegate import LanguageModel
from tidegate.text import Vocabulary
from tidegate.train.facts import Facts
from tidegate.train.load import Trained
from tidegate.train.save import describe

ALPHABET = "abcd()\n"


def as_trained(model, vocabulary, *, recipe=None, preprocess="raw"):
    """What tidegate.load returns for the model."""
    facts = Facts(describe(model), vocabulary, preprocess, recipe, None, None, None, None, None, {})
    return Trained(model.eval(), vocabulary, recipe, None, None, None, None, facts)


def random_model(name, vocabulary, H=7, layers=1, seed=0, scale=1.0):
    torch.manual_seed(seed)
    model = LanguageModel(MinimalGatedUnit if name == OWN else name, len(vocabulary), H, layers=layers)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(scale)
    return model


def bracket_text(count, seed):
    """Lines of 30 to 50 characters: outside brackets 9 of 10 are a, inside them b; brackets are of any length."""
    generator = np.random.default_rng(seed)
    text, inside, column = [], False, 0
    for _ in range(count):
        if column >= 30 and (column == 50 or generator.random() < 0.2):
            text.append("\n")
            column = 0
            continue
        if generator.random() < (0.08 if inside else 0.02):
            inside = not inside
            text.append("(" if inside else ")")
        else:
            text.append(
                generator.choice(list("abcd"), p=[0.03, 0.9, 0.04, 0.03] if inside else [0.9, 0.03, 0.04, 0.03])
            )
        column += 1
    return "".join(text)


def planted_model(readout, *, H=26, seed=3):
    """An LSTM of random units, among them units that hold 1 inside brackets and 0 elsewhere: their recurrent weights
    are 0, the forget gate is open but closes at ")", the input gate is closed but opens at "(", the candidate is 1.

    readout: by unit, the weight with which it raises the score of b and lowers that of a.
    """
    vocabulary = Vocabulary.build(ALPHABET)
    model = random_model("lstm", vocabulary, H, seed=seed)
    layer = model.recurrent
    a, b, opening, closing = vocabulary.encode("ab()").tolist()
    with torch.no_grad():
        model.head.bias.zero_()
        model.head.bias[a], model.head.bias[b], model.head.bias[vocabulary.unknown] = 2.0, -2.0, -9.0
        for unit, weight in readout.items():
            hold(layer, unit, writes=opening, clears=closing)
            model.head.weight[:, unit] = 0
            model.head.weight[a, unit], model.head.weight[b, unit] = -weight, weight
    return model, vocabulary


def hold(layer, unit, *, writes=None, clears, step=20.0):
    """Make a unit of an LSTM add tanh(step) to c at the token `writes`, or at every token if that is None, keep c
    otherwise, and forget it at the token `clears`."""
    with torch.no_grad():
        layer.weight_hh_l0[:, unit] = 0  # the other units do not read it
        for gate in "ifgo":
            for name, rows in layer.gate_parameters(gate).items():
                rows[unit] = 0
                if name == "bias_ih_l0":
                    rows[unit] = {"i": 20.0 if writes is None else -20.0, "f": 20.0, "g": step, "o": 20.0}[gate]
        layer.gate_parameters("f")["weight_ih_l0"][unit, clears] = -40.0
        layer.gate_parameters("i")["weight_ih_l0"][unit, clears if writes is None else writes] = (
            -40.0 if writes is None else 40.0
        )
