import os
import signal
import threading
import time

import pytest

from tidegate.train.interrupt import Interrupt


def send(number):
    os.kill(os.getpid(), number)
    time.sleep(0.01)  # the handler runs between two bytecodes


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_only_recorded_and_the_second_stops_immediately(number):
    before = signal.getsignal(number)
    with Interrupt() as interrupt:
        send(number)
        assert interrupt.received == number
        with pytest.raises(KeyboardInterrupt):
            send(number)
    assert signal.getsignal(number) is before


hangup = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no SIGHUP on this system")


@hangup
def test_a_closed_terminal_is_recorded_and_never_stops_a_run_that_is_saving():
    with Interrupt() as interrupt:
        send(signal.SIGHUP)
        assert interrupt.received == signal.SIGHUP
        send(signal.SIGHUP)  # the kernel and the shell both send it
        send(signal.SIGTERM)  # and some systems send this with it
        assert interrupt.received == signal.SIGTERM
        send(signal.SIGHUP)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


@hangup
def test_a_hangup_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with Interrupt() as interrupt:
            send(signal.SIGHUP)
            assert interrupt.received is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_outside_the_main_thread_no_handler_is_set():
    seen = []

    def work():
        with Interrupt() as interrupt:
            seen.append((interrupt.received, signal.getsignal(signal.SIGINT)))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(None, before)]
