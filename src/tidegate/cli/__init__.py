"""The command line: `tidegate VERB`. One file per verb."""

from tidegate.cli.app import main

__all__ = ["main"]
