"""A fair comparison: the sizes of the cells, or their training time, made equal."""

import bisect
import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tidegate.calculus import Step
from tidegate.comparing.arm import Arm
from tidegate.comparing.job import Job
from tidegate.comparing.network import recurrent_weights
from tidegate.errors import ArgumentError, CheckpointError, did_you_mean
from tidegate.train.checkpoint import write_atomically

MATCHES = ("weights", "units", "seconds")
TOLERANCE = 0.02  # of the recurrent parameters
MOST_UNITS = 100_000
ROUNDS = 3  # of measuring the seconds of a step


def check_match(match: str) -> None:
    if match not in MATCHES:
        raise ArgumentError(
            f"`match` must be one of {', '.join(MATCHES)}, got {match!r}.{did_you_mean(match, MATCHES)}"
        )


def match_weights(arms: Sequence[Arm]) -> tuple[list[Arm], list[str]]:
    """Arms with as many units as give the recurrent parameters of the first cell at the same setting, and a sentence
    for each that differs by more than 2 %, because the number of units is whole."""
    matched, notes = [], []
    for arm in arms:
        first = next(other for other in arms if other.varied == arm.varied)
        D, layers = arm.task.input_size, arm.settings.layers
        H = units(partial(weights, arm.step, D, layers), first.weights)
        own = dataclasses.replace(arm, settings=arm.settings.with_values({"hidden": H}))
        matched.append(own)
        off = own.weights / first.weights - 1
        if abs(off) > TOLERANCE:
            notes.append(
                f"{own.cell} has {own.weights:,} recurrent weights with {H} units, {100 * off:+.1f} % from the "
                f"{first.weights:,} of {first.cell}: no whole number of units comes nearer. More units match better."
            )
    return matched, list(dict.fromkeys(notes))


def weights(step: Step, D: int, layers: int, H: int) -> int:
    return recurrent_weights(step, D, H, layers)


def units(weights: Callable[[int], int], target: int) -> int:
    """The number of units whose weights are nearest to the target."""
    above = bisect.bisect_left(range(1, MOST_UNITS), target, key=weights) + 1
    return min((H for H in (above - 1, above) if H >= 1), key=lambda H: abs(weights(H) - target))


def match_seconds(
    arms: Sequence[Arm], measure: Callable[[Job], float], folder: Path | None
) -> tuple[list[Arm], list[str]]:
    """Arms with as many steps as take the training time of the first cell at the same setting, and sentences.

    The seconds of a step are measured ROUNDS times, the arms in turn, and the smallest counts, because other load on
    the machine only adds time. They are written to FOLDER/timing.json and read from there again, so that rerunning a
    comparison gives the same numbers.
    """
    known = read_timing(folder)
    jobs = [arm.job(0, 1e-9) for arm in arms]
    keys = [job.key() for job in jobs]
    new = {key: job for key, job in zip(keys, jobs) if key not in known}
    for _ in range(ROUNDS):
        for key, job in new.items():
            known[key] = min(known.get(key, math.inf), measure(job))
    seconds = [known[key] for key in keys]
    if folder is not None:
        write_atomically(folder / "timing.json", (json.dumps(known, indent=1) + "\n").encode())
    matched, notes = [], []
    for arm, own in zip(arms, seconds):
        first = next(second for other, second in zip(arms, seconds) if other.varied == arm.varied)
        steps = max(1, round(arm.settings.steps * first / own))
        every = max(1, round(arm.settings.interval * first / own))
        settings = arm.settings.with_values({"steps": steps, "eval_every": every})
        matched.append(dataclasses.replace(arm, settings=settings, step_seconds=own))
        notes.append(f"{arm.label}: {1000 * own:.2f} ms a step on this machine, so {steps:,} steps.")
    return matched, notes


def read_timing(folder: Path | None) -> dict[str, float]:
    path = None if folder is None else folder / "timing.json"
    if path is None or not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {str(key): float(value) for key, value in content.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{path} cannot be used: {error}. Remove it, and times are measured again.") from error
