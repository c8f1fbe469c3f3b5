"""The settings of a run, checked once, and the named recipes."""

import dataclasses
import math
from dataclasses import dataclass

from tidegate.errors import ArgumentError, did_you_mean

CHOICES = {
    "optimizer": ("adamw", "sgd"),
    "schedule": ("constant", "cosine"),
    "preprocess": ("raw", "letters"),
    "tokens": ("char", "byte", "word"),
    "sampling": ("sequential", "random"),
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All settings of a run. Each field is the command-line option of the same name.

    A run lasts `epochs` passes over the training text or `minutes` of training time; where both are set, whichever
    ends first. Minutes depend on the clock: only a run limited by epochs alone is reproducible bit for bit.
    `first` limits the training text to that many tokens; the held-out text follows the training text.
    `heldout` is its share of the text if below 1, otherwise its number of tokens: see `tidegate.text.split`.
    `embedding` is the size of the learned token vectors in front of the first layer, 0 for none; `tie` uses them as the
    weights of the output layer too, see `tidegate.LanguageModel`.
    `init` is the initialisation of the recurrent layer, see `tidegate.train.initial`.
    `eval_every` counts steps; None spreads twelve evaluations over the run.
    `prompts` are continued when the run has ended, see `tidegate.train.continuations`.

    Raises ArgumentError, with the name of the option, for an invalid value.
    """

    cell: str = "gru"
    hidden: int = 256
    layers: int = 1
    embedding: int = 0
    tie: bool = False
    init: str = "default"
    engine: str = "auto"
    device: str = "auto"
    batch: int = 16
    steps: int = 35
    sampling: str = "sequential"
    optimizer: str = "adamw"
    lr: float = 5e-3
    weight_decay: float = 0.01
    schedule: str = "cosine"
    clip: float = 1.0
    dropout: float = 0.1
    epochs: int | None = None
    minutes: float | None = None
    seed: int = 0
    preprocess: str = "raw"
    tokens: str = "char"
    min_freq: int = 1
    encoding: str = "utf-8"
    first: int | None = None
    heldout: float = 0.1
    eval_every: int | None = None
    prompts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "prompts", tuple(self.prompts))  # JSON has lists
        for text in self.prompts:
            require("prompt", text, isinstance(text, str) and text != "", "a text of at least one character")
        for name in ("hidden", "layers", "batch", "steps", "min_freq"):
            require(name, getattr(self, name), getattr(self, name) >= 1, "an integer of at least 1")
        require("first", self.first, self.first is None or self.first >= 2, "an integer of at least 2")
        for name in ("eval_every", "epochs"):
            value = getattr(self, name)
            require(name, value, value is None or value >= 1, "an integer of at least 1")
        require("embedding", self.embedding, self.embedding >= 0, "an integer of at least 0 (0: none)")
        if self.tie and self.embedding != self.hidden:
            raise ArgumentError(
                f"--tie needs an --embedding of the size of --hidden, {self.hidden}, because one table is used on both "
                f"sides, got {self.embedding}. Leave --embedding out, or --tie."
            )
        require("seed", self.seed, 0 <= self.seed < 2**63, "an integer from 0 to 2^63 - 1")
        for name in ("lr", "clip"):
            value = getattr(self, name)
            require(name, value, value > 0 and math.isfinite(value), "a positive number")
        require("weight_decay", self.weight_decay, 0 <= self.weight_decay < math.inf, "a number of at least 0")
        require("dropout", self.dropout, 0 <= self.dropout < 1, "a number of at least 0 and below 1")
        whole = 2 <= self.heldout < 2**63 and float(self.heldout).is_integer()
        require(
            "heldout", self.heldout, 0 < self.heldout < 1 or whole,
            "a share of the text between 0 and 1, such as 0.1, or a whole number of at least 2 tokens",
        )  # fmt: skip
        for name, allowed in CHOICES.items():
            value = getattr(self, name)
            require(name, value, value in allowed, "one of " + ", ".join(allowed), did_you_mean(value, allowed))
        if self.epochs is None and self.minutes is None:
            raise ArgumentError("give --epochs or --minutes or both, got neither.")
        if self.minutes is not None:
            require("minutes", self.minutes, 0 < self.minutes < math.inf, "a positive number")


def require(field: str, value: object, holds: bool, expected: str, remedy: str = "") -> None:
    """Raise ArgumentError, with the name of the option, unless `holds`."""
    if not holds:
        raise ArgumentError(f"--{field.replace('_', '-')} must be {expected}, got {value!r}.{remedy}")


RECIPES = {
    "default": Recipe(epochs=12, minutes=2.0),
    # Zhang, Lipton, Li, Smola, "Dive into Deep Learning" (2021), chapters 8 and 9: train_ch8 on the Time Machine.
    "d2l": Recipe(
        preprocess="letters",
        first=10_000,
        heldout=10_000,
        batch=32,
        steps=35,
        sampling="sequential",
        hidden=256,
        optimizer="sgd",
        lr=1.0,
        weight_decay=0.0,
        schedule="constant",
        clip=1.0,
        dropout=0.0,
        epochs=500,
        prompts=("time traveller", "traveller"),
    ),
}


def recipe(name: str, **explicit: object) -> Recipe:
    """The recipe `name`, overridden by the explicit options; None means that an option was not given.

    An explicit length (`epochs`, `minutes` or both) replaces the recipe's. With `tie` the embedding is by default of
    the size of the layer.
    """
    if name not in RECIPES:
        raise ArgumentError(f"--recipe must be one of {', '.join(RECIPES)}, got {name!r}.{did_you_mean(name, RECIPES)}")
    given = {field: value for field, value in explicit.items() if value is not None}
    if "epochs" in given or "minutes" in given:
        given = {"epochs": None, "minutes": None} | given
    if given.get("tie"):
        given = {"embedding": given.get("hidden", RECIPES[name].hidden)} | given
    return dataclasses.replace(RECIPES[name], **given)  # type: ignore[arg-type]
