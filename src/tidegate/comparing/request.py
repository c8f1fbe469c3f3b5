"""A comparison as it is typed on the command line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tidegate.comparing.settings import NAMES, QUICK_RATES, WHOLE, Settings, quick
from tidegate.errors import ArgumentError
from tidegate.tasks import find_task

NUMBERS = ("lr", "clip")
SEEDS, QUICK_SEEDS = 10, 2
TUNING_SEEDS, QUICK_TUNING_SEEDS = 2, 1


@dataclass(frozen=True, kw_only=True)
class Request:
    """The arguments of `compare`, read from text."""

    task: str
    cells: tuple[str, ...]
    seeds: int | tuple[int, ...]
    parameters: Mapping[str, Any]
    vary: Mapping[str, tuple[Any, ...]]
    settings: Settings
    rates: tuple[float, ...] | None
    tuning_seeds: int
    caution: str = ""

    @classmethod
    def of(
        cls,
        task: str,
        cells: str,
        *,
        seeds: Sequence[int] | None,
        param: Sequence[str],
        vary: Sequence[str],
        rates: str | None,
        quick: bool,
        settings: Mapping[str, Any],
    ) -> Request:
        """cells, and the values of vary: between commas. seeds: a number of seeds, or several seeds. settings: those
        that were given; the others are the usual ones, or with `quick` the quick ones."""
        parameters = dict(assignment("param", text) for text in param)
        varied = {name: values(name, text) for name, text in (assignment("vary", text) for text in vary)}
        if len(parameters) < len(param) or len(varied) < len(vary):
            raise ArgumentError("`param` and `vary` must name each thing once; values of --vary stand between commas.")
        both = parameters.keys() & varied.keys()
        if both:
            raise ArgumentError(f"`param` and `vary` must not both give {sorted(both)[0]}.")
        usual = usual_settings(task, {**parameters, **firsts(varied)}) if quick else Settings()
        own = usual.with_values(settings)
        number_of_seeds = SEEDS if seeds is None else seeds[0] if len(seeds) == 1 else len(seeds)
        chosen = None if rates is None else tuple(number("rates", text) for text in rates.split(","))
        if quick and chosen is None and own.lr is None and "lr" not in varied:
            chosen = QUICK_RATES[own.optimizer]
        return cls(
            task=task,
            cells=tuple(cells.split(",")),
            seeds=(QUICK_SEEDS if quick else SEEDS) if seeds is None else seeds[0] if len(seeds) == 1 else tuple(seeds),
            parameters=parameters,
            vary=varied,
            settings=own,
            rates=chosen,
            tuning_seeds=QUICK_TUNING_SEEDS if quick else TUNING_SEEDS,
            caution=quick_caution(own, Settings().with_values(settings), number_of_seeds) if quick else "",
        )

    def folder(self) -> Path:
        """Where the results are written by default: one folder for each task, so that finished jobs are found again."""
        stem = Path(self.task.rpartition(":")[2]).stem if ":" in self.task else self.task
        return Path("comparisons", re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-") or "task")


def quick_caution(quick: Settings, full: Settings, seeds: int) -> str:
    """What is too small in a quick comparison, and how it is made larger; `seeds` of the full one."""
    return (
        f"This is a quick look: {quick.hidden} units and at most {quick.steps:,} steps show that the command works, "
        f"not which cell is better. The same command without --quick has {full.hidden} units, at most {full.steps:,} "
        f"steps and {seeds} seeds."
    )


def usual_settings(task: str, parameters: Mapping[str, Any]) -> Settings:
    """Quick settings for sequences as long as those of the task."""
    x = find_task(task, **parameters).batch(1, torch.Generator().manual_seed(0)).x
    return quick(x.shape[0])


def firsts(vary: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """The first value of each parameter of the task that is varied."""
    return {name: values[0] for name, values in vary.items() if name not in NAMES}


def assignment(option: str, text: str) -> tuple[str, str]:
    """NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise ArgumentError(f"`{option}` must be NAME=VALUE such as length=50, got {text!r}.")
    return name.strip().replace("-", "_"), value


def values(name: str, text: str) -> tuple[Any, ...]:
    """The values of what is varied: numbers for settings that are numbers, text for all else."""
    parts = [part.strip() for part in text.split(",")]
    if name in WHOLE:
        return tuple(whole(name, part) for part in parts)
    return tuple(number(name, part) for part in parts) if name in NUMBERS else tuple(parts)


def whole(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ArgumentError(f"`{name}` must be an integer, got {text!r}.") from None


def number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ArgumentError(f"`{name}` must be a number such as 0.01, got {text!r}.") from None
