"""Progress bars while a text is read."""

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

PLAIN = 10.0  # seconds between two lines where there is no terminal


class Progress:
    """Shows nothing; notes are Python warnings."""

    @contextmanager
    def track(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """A context for one stage of `total` units; yields a function to call with the number of units just done."""
        yield lambda done: None

    def note(self, text: str) -> None:
        """Show a sentence that the user should read."""
        warnings.warn(text, stacklevel=2)


class ConsoleProgress(Progress):
    """A bar for each stage in a terminal; elsewhere a line every 10 seconds. Notes are lines."""

    def __init__(self, console: "Console") -> None:
        self.console = console

    @contextmanager
    def track(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        if not self.console.is_terminal:
            yield self._plain(what, total)
            return
        from rich.markup import escape
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Display

        columns = (TextColumn("{task.description}"), BarColumn(24), TaskProgressColumn(), TimeRemainingColumn())
        with Display(*columns, console=self.console, transient=True) as display:
            task = display.add_task(escape(what), total=total)
            yield lambda done: display.advance(task, done)

    def note(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _plain(self, what: str, total: int) -> Callable[[int], None]:
        finished, shown = 0, time.monotonic()

        def advance(done: int) -> None:
            nonlocal finished, shown
            finished += done
            if time.monotonic() - shown >= PLAIN:
                shown = time.monotonic()
                self.note(f"{what}: {finished / max(1, total):.0%}")

        return advance
