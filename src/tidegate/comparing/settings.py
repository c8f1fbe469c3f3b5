"""The settings of one training run of a comparison, and smaller ones for a quick look."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from tidegate.errors import ArgumentError, did_you_mean
from tidegate.train.initial import parse

#: The learning rates that are tried for each cell where none is given.
RATES: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {"adam": (3e-4, 1e-3, 3e-3, 1e-2, 3e-2), "sgd": (0.03, 0.1, 0.3, 1.0, 3.0)}
)
EVALUATIONS = 20  # in a run, where their interval is not given
WHOLE = ("hidden", "layers", "batch", "steps", "eval_every", "eval_size")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """hidden: units of a layer of the first cell; those of the other cells follow from what is matched.
    layers: recurrent layers.   init: an initialisation of `tidegate.init` by name, with its numbers after colons;
    "chrono" without a number means time scales up to the length of a sequence.
    batch: sequences of a step.   steps: the most steps; training ends earlier when the task is solved at two
    evaluations in a row.   optimizer: "adam" or "sgd".   lr: the learning rate; None chooses it for each cell.
    clip: the largest global norm of the gradient.
    eval_every: steps between two evaluations; None: a twentieth of the steps.   eval_size: sequences of an evaluation.

    Raises ArgumentError, with the name of the setting, for an invalid value.
    """

    hidden: int = 64
    layers: int = 1
    init: str = "default"
    batch: int = 64
    steps: int = 2000
    optimizer: str = "adam"
    lr: float | None = None
    clip: float = 1.0
    eval_every: int | None = None
    eval_size: int = 512

    def __post_init__(self) -> None:
        for name in WHOLE:
            value = getattr(self, name)
            if name == "eval_every" and value is None:
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ArgumentError(f"`{name}` must be an integer of at least 1, got {value!r}.")
        for name in ("lr", "clip"):
            value = getattr(self, name)
            if name == "lr" and value is None:
                continue
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not (value > 0 and math.isfinite(value)):
                raise ArgumentError(f"`{name}` must be a positive number, got {value!r}.")
        if self.optimizer not in RATES:
            remedy = did_you_mean(self.optimizer, RATES)
            raise ArgumentError(f"`optimizer` must be one of {', '.join(RATES)}, got {self.optimizer!r}.{remedy}")
        if not isinstance(self.init, str):
            raise ArgumentError(f"`init` must be the name of an initialisation, got {self.init!r}.")
        parse(self.init)

    @property
    def interval(self) -> int:
        """The steps between two evaluations."""
        return self.eval_every or max(1, round(self.steps / EVALUATIONS))

    def with_values(self, values: Mapping[str, Any]) -> "Settings":
        """These settings with some replaced."""
        return dataclasses.replace(self, **values)


NAMES = tuple(field.name for field in dataclasses.fields(Settings))


def quick(T: int) -> Settings:
    """Settings that train in a second or two on sequences of T steps: enough to try a command, too little to judge."""
    steps = min(200, max(20, 20_000 // T))
    return Settings(hidden=16, batch=16, steps=steps, eval_every=max(1, steps // 5), eval_size=64)


#: The learning rates of a quick comparison.
QUICK_RATES: Mapping[str, tuple[float, ...]] = MappingProxyType({"adam": (3e-3, 1e-2, 3e-2), "sgd": (0.1, 0.3, 1.0)})
