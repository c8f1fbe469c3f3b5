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
def test_the_first_signal_only_asks_and_the_second_stops_at_once(number):
    before = signal.getsignal(number)
    with Interrupt() as interrupt:
        send(number)
        assert interrupt.asked == number
        with pytest.raises(KeyboardInterrupt):
            send(number)
    assert signal.getsignal(number) is before


def test_outside_the_main_thread_it_does_nothing():
    asked = []

    def work():
        with Interrupt() as interrupt:
            asked.append(interrupt.asked)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert asked == [None]
