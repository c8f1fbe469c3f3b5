"""A comparison in a terminal and as files: a live table while its jobs run, its tables, and its numbers as JSON."""

from tidegate.report.comparison.files import check, write
from tidegate.report.comparison.live import LiveTable
from tidegate.report.comparison.terminal import print_comparison

__all__ = ["LiveTable", "check", "print_comparison", "write"]
