"""The command line: `tidegate VERB`. One file per verb."""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code; with 130 if Ctrl-C is pressed while modules are imported."""
    try:
        from tidegate.cli import app

        app.main(arguments)
    except KeyboardInterrupt:
        sys.exit(130)
