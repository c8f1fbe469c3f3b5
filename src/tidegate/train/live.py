"""A part of the terminal that is written again and again while a command runs."""

import contextlib
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text


class LiveOutput:
    """A context in which `live` shows what it is given; None where the console is not a terminal."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self.live:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live:
            with contextlib.suppress(OSError):  # the terminal was closed, so there is nothing to restore
                self.live.stop()

    def say(self, text: str) -> None:
        """Print a permanent line."""
        self.console.print(Text(text), soft_wrap=True)
