"""Ctrl-C and SIGTERM: the first asks the run to stop after its step, the second stops it at once."""

import signal
import threading
from types import FrameType


class Interrupt:
    """A context in which the first SIGINT or SIGTERM only sets `asked` to its number.

    A second signal raises KeyboardInterrupt at once: checkpoints are replaced in one rename, so even that damages none.
    Outside the main thread Python delivers no signals, and the context does nothing.
    """

    def __init__(self) -> None:
        self.asked: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if self.asked is not None:
            raise KeyboardInterrupt
        self.asked = number
