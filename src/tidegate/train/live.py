"""A part of the terminal that is written again and again while a command runs. A command goes on after its terminal was
closed, until it handles the signal that it then gets, so that it can save."""

import contextlib
import errno
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text


class LiveOutput:
    """A context in which `live` shows what it is given; None where the console is not a terminal."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.in_terminal = console.is_terminal  # a terminal that was closed no longer says that it is one
        self.live = Live(console=console, refresh_per_second=4, transient=True) if self.in_terminal else None

    def __enter__(self) -> Self:
        if self.live:
            with self.even_if_closed():
                self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live:
            with contextlib.suppress(OSError):  # the terminal was closed, so there is nothing to restore
                self.live.stop()

    def say(self, text: str | Text) -> None:
        """Print a permanent line."""
        with self.even_if_closed():
            self.console.print(Text(text) if isinstance(text, str) else text, soft_wrap=True)

    @contextlib.contextmanager
    def even_if_closed(self) -> Iterator[None]:
        """A context that discards what cannot be written because the terminal was closed."""
        try:
            yield
        except OSError as error:
            if error.errno != errno.EIO or not self.in_terminal:
                raise
