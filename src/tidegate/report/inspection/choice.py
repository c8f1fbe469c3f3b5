"""What the page of an inspection shows first, and whether its files can be written."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tidegate.errors import ArgumentError
from tidegate.train.folder import make_writable
from tidegate.train.load import load


@dataclass(frozen=True)
class Choice:
    """What the page shows first: the layer, None for the last, and its units; none for those that track something."""

    layer: int | None = None
    units: tuple[int, ...] = ()


def check(folder: Path, runs: Sequence[Path], choice: Choice, checkpoint: str) -> None:
    """Raise ArgumentError where the folder cannot be written, or a model does not have the chosen layer or units.

    Called before anything is measured.
    """
    make_writable(folder, "`out`")
    for run in runs:
        sizes = load(run, checkpoint).facts.model
        if choice.layer is not None and not 0 <= choice.layer < sizes.layers:
            raise ArgumentError(f"`layer` must be in 0..{sizes.layers - 1}, the layers of {run}, got {choice.layer}.")
        for unit in choice.units:
            if not 0 <= unit < sizes.hidden:
                raise ArgumentError(f"`units` must be in 0..{sizes.hidden - 1}, the units of {run}, got {unit}.")
