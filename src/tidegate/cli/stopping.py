"""SIGTERM and a closed terminal stop a command as Ctrl-C does, so that the processes it has started end too."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextmanager
def as_interrupt() -> Iterator[None]:
    """A context in which these signals raise KeyboardInterrupt(number); an ignored one, as under nohup, stays ignored.

    Outside the main thread Python delivers no signals, and the context has no effect.
    """
    main = threading.current_thread() is threading.main_thread()
    changed = [number for number in SIGNALS if main and signal.getsignal(number) is not signal.SIG_IGN]
    before = [signal.signal(number, interrupt) for number in changed]
    try:
        yield
    finally:
        for number, handler in zip(changed, before):
            signal.signal(number, handler)


def interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt(number)


def exit_code(stop: KeyboardInterrupt) -> int:
    """128 and the number of the signal."""
    return 128 + (stop.args[0] if stop.args else signal.SIGINT)
