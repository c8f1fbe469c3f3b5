"""The files of a comparison: compare.html and compare.json."""

import json
from pathlib import Path

from tidegate.comparing.comparison import Comparison
from tidegate.errors import ArgumentError
from tidegate.train.checkpoint import write_atomically


def check(folder: Path) -> None:
    """Raise ArgumentError where the folder cannot be written. Called before anything is trained."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ArgumentError(
            f"`out` must be a writable folder, got {folder}: {error.strerror}. Choose another --out."
        ) from error


def write(folder: Path, found: Comparison) -> Path:
    """Write compare.json into the folder; returns its path."""
    numbers = folder / "compare.json"
    data = json.dumps(found.as_dict(), ensure_ascii=False, allow_nan=False)
    write_atomically(numbers, (data + "\n").encode())
    return numbers
