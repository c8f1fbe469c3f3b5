"""The files of `tidegate inspect`: the page of one run, or of two on the same text, and the JSON of the numbers."""

from tidegate.report.inspection.choice import Choice, check
from tidegate.report.inspection.files import write
from tidegate.report.inspection.page import inspection_page

__all__ = ["Choice", "check", "inspection_page", "write"]
