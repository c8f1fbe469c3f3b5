"""The files of a comparison: compare.html and compare.json."""

import json
from pathlib import Path

from tidegate.comparing.comparison import Comparison
from tidegate.report.comparison.page import comparison_page
from tidegate.train.checkpoint import write_atomically


def write(folder: Path, found: Comparison) -> tuple[Path, Path]:
    """Write compare.html and compare.json into the folder; returns their paths."""
    page, numbers = folder / "compare.html", folder / "compare.json"
    data = json.dumps(found.as_dict(), ensure_ascii=False, allow_nan=False)
    write_atomically(numbers, (data + "\n").encode())
    write_atomically(page, comparison_page(found).encode())
    return page, numbers
