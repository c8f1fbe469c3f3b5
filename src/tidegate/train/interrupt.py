"""Ctrl-C, SIGTERM and a closed terminal: after the first signal the run finishes its step and saves, the second stops
it immediately."""

import signal
import threading
from types import FrameType

HANGUP = getattr(signal, "SIGHUP", None)  # the terminal was closed; Windows has no such signal


class Interrupt:
    """A context in which the first of SIGINT, SIGTERM and SIGHUP only sets `received` to its number.

    A second SIGINT or SIGTERM raises KeyboardInterrupt immediately; checkpoints are replaced in one rename, so none is
    damaged. SIGHUP never raises it: a closed terminal may send SIGHUP twice, or together with SIGTERM. If the process
    already ignores SIGHUP, as under nohup, it stays ignored. Outside the main thread Python delivers no signals, and
    the context has no effect.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            numbers = [signal.SIGINT, signal.SIGTERM]
            if HANGUP is not None and signal.getsignal(HANGUP) is not signal.SIG_IGN:
                numbers.append(HANGUP)
            for number in numbers:
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if number == HANGUP:
            self.received = self.received or number
        elif self.received in (None, HANGUP):
            self.received = number
        else:
            raise KeyboardInterrupt
