"""The files of an inspection: inspect.html and inspect.json."""

import json
from collections.abc import Sequence
from pathlib import Path

from tidegate.insight.inspection import Inspection
from tidegate.report.inspection.choice import Choice
from tidegate.report.inspection.page import inspection_page
from tidegate.train.checkpoint import write_atomically
from tidegate.train.load import load


def write(
    folder: Path, found: Sequence[Inspection], runs: Sequence[Path], choice: Choice, *, checkpoint: str = "best"
) -> tuple[Path, Path]:
    """Write inspect.html and inspect.json into the folder; returns their paths.

    `runs` are the folders whose models run in the page.
    """
    content = [one.as_dict() for one in found]
    data = json.dumps(content[0] if len(content) == 1 else content, ensure_ascii=False, allow_nan=False)
    page, numbers = folder / "inspect.html", folder / "inspect.json"
    write_atomically(numbers, (data + "\n").encode())
    models = [load(run, checkpoint) for run in runs]
    write_atomically(page, inspection_page(found, models, choice).encode())
    return page, numbers
