"""A comparison in a terminal and as files: a live table while its jobs run, tables, one offline page, and JSON."""

from tidegate.report.comparison.files import write
from tidegate.report.comparison.live import LiveTable
from tidegate.report.comparison.page import comparison_page
from tidegate.report.comparison.terminal import print_comparison

__all__ = ["LiveTable", "comparison_page", "print_comparison", "write"]
