"""Results of finished jobs: one JSON file for each, so that a comparison that was stopped goes on."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidegate.comparing.job import Job
from tidegate.comparing.outcome import Outcome
from tidegate.errors import CheckpointError
from tidegate.train.checkpoint import write_atomically
from tidegate.train.folder import make_writable


class Store:
    """The folder FOLDER/jobs, or nothing where `folder` is None. A file is named by the key of its job."""

    def __init__(self, folder: Path | None) -> None:
        self.jobs = None if folder is None else folder / "jobs"
        for path in filter(None, (folder, self.jobs)):
            make_writable(path, "`out`")

    def path(self, job: Job) -> Path | None:
        return None if self.jobs is None else self.jobs / f"{job.key()}.json"

    def find(self, job: Job) -> Outcome | None:
        """The result of a job that has finished; None where there is none.

        Raises CheckpointError for a file that cannot be read or belongs to another job.
        """
        path = self.path(job)
        if path is None or not path.exists():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["job"] != job.facts():
                raise CheckpointError("it is the result of another job")
            return Outcome.of(content["result"])
        except (OSError, ValueError, KeyError, TypeError, CheckpointError) as error:
            raise CheckpointError(f"{path} cannot be used: {error}. Remove it, and its job runs again.") from error

    def keep(self, job: Job, result: Mapping[str, Any]) -> Outcome:
        """Write a result, except that of a job that failed: it is run again the next time."""
        outcome, path = Outcome.of(result), self.path(job)
        if path is not None and outcome.status != "failed":
            content = {"tidegate": "job", "job": job.facts(), "result": result}
            write_atomically(path, (json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n").encode())
        return outcome
