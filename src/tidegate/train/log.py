"""log.jsonl: one JSON object per line, in the order of the run's steps."""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidegate.errors import CheckpointError
from tidegate.train.checkpoint import write_atomically


class Log:
    """Appends records to a file and flushes each: if the process is killed, at most one line is lost."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one record. Raises CheckpointError where the file cannot be written."""
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
        except OSError as error:
            raise CheckpointError(f"cannot write {self.path}: {error.strerror}. The checkpoints are intact; free some "
                                  f"space, then continue with --resume {self.path.parent}.") from error  # fmt: skip

    def truncate(self, step: int) -> None:
        """Remove the records after `step` and an incomplete last line, before the run continues from `step`."""
        kept = [record for record in read(self.path) if record["step"] <= step]
        write_atomically(self.path, "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in kept).encode())


def read(path: Path) -> list[dict[str, Any]]:
    """The records of the file, without incomplete or damaged lines."""
    if not path.is_file():
        return []
    records = []
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        with contextlib.suppress(json.JSONDecodeError):
            record = json.loads(line)
            if isinstance(record, dict) and isinstance(record.get("step"), int):
                records.append(record)
    return records
