"""Cells compared on a task: jobs over cells, settings and seeds, and what their results say with which certainty."""

from tidegate.comparing.cells_on_task import compare
from tidegate.comparing.settings import Settings, quick

__all__ = ["Settings", "compare", "quick"]
