"""The folder of a run: what is in it, how a new one is made, and its default name.

run.json           the model, the recipe, the text and its hash, the versions; written once
last.safetensors   the latest checkpoint (complete in itself)      best.safetensors   that of the lowest held-out loss
log.jsonl          one JSON object per line: figures, evaluations, samples
summary.json       the results           curves.png   a plot of the losses

A folder holds no code: the equations of the cell are data in run.json and in each checkpoint.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tidegate.errors import ArgumentError, CheckpointError, did_you_mean
from tidegate.train.checkpoint import write_atomically

OURS = (
    "last.safetensors",
    "best.safetensors",
    "log.jsonl",
    "summary.json",
)  # a folder with run.json alone may be used again


class RunFolder:
    """The paths of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.description = path / "run.json"
        self.log = path / "log.jsonl"
        self.summary = path / "summary.json"
        self.curves = path / "curves.png"

    def checkpoint(self, which: str) -> Path:
        """The path of the checkpoint `which`, "last" or "best"."""
        if which not in ("last", "best"):
            raise ArgumentError(
                f"`checkpoint` must be one of last, best, got {which!r}.{did_you_mean(which, ('last', 'best'))}"
            )
        return self.path / f"{which}.safetensors"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Prevent other processes from training in this folder. Raises CheckpointError where one already is.

        The system releases the lock when the process ends, however it ends.
        """
        lock = FileLock(self.path / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise CheckpointError(
                f"another process is training the run in {self.path}: two would overwrite each other's checkpoints. "
                "Wait for it or stop it, or train a new run with another --out."
            ) from None
        except OSError as error:
            raise CheckpointError(
                f"cannot write in {self.path}: {error.strerror or error}. Copy the run to a "
                "writable folder, and resume it there."
            ) from error
        try:
            yield
        finally:
            lock.release()

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Write `value` as the file `name`, indented, in one atomic step."""
        write_atomically(self.path / name, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def check_free(path: Path, argument: str = "--out") -> None:
    """Raise ArgumentError, with the name of the argument, where `path` is a file or already contains a run."""
    if path.exists() and not path.is_dir():
        raise ArgumentError(f"{argument} must be a folder, got the file {path}. Choose another {argument}.")
    if any((path / name).exists() for name in OURS):
        resume = f"Continue it with --resume {path}, or choose" if argument == "--out" else "Choose"
        raise ArgumentError(f"{argument} {path} already contains a run. {resume} another {argument}.")


def create(path: Path, argument: str = "--out") -> RunFolder:
    """Make the folder of a new run. Raises ArgumentError where it cannot be made or written."""
    check_free(path, argument)
    make_writable(path, argument)
    return RunFolder(path)


def make_writable(path: Path, argument: str) -> None:
    """Make a folder, with those above it, and write a file there. Raises ArgumentError where one of them fails."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ArgumentError(
            f"{argument} must be a writable folder, got {path}: {error.strerror}. Choose another {argument}."
        ) from error


def open_run(path: Path) -> RunFolder:
    """The folder of an existing run. Raises CheckpointError where there is none."""
    if not path.is_dir():
        raise CheckpointError(f"no run at {path}: expected the folder that `tidegate train` made.")
    if not any((path / name).is_file() for name in ("last.safetensors", "best.safetensors")):
        raise CheckpointError(f"no run in {path}: expected last.safetensors or best.safetensors there. "
                              "Train one with `tidegate train`.")  # fmt: skip
    return RunFolder(path)


def next_free(text: str, cell: str) -> Path:
    """runs/<text>-<cell>-<n> with the smallest n >= 1 for which there is no such folder yet."""
    stem = f"{slug(Path(text).stem if text != '-' else 'stdin')}-{slug(cell.rpartition(':')[2])}"
    n = 1
    while Path("runs", f"{stem}-{n}").exists():
        n += 1
    return Path("runs", f"{stem}-{n}")


def slug(name: str) -> str:
    """`name` as lower-case letters, digits and single hyphens, at most 40 of them."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "text"
