"""A child forked while other threads hold locks finds them free, and the data they protect complete."""

import os
import threading
import time

import pytest

from tidegate.calculus.expression import Expression
from tidegate.engines.cpu import kernels, runtime
from tidegate.forks import held_while_forking

LOCKS = {
    "a lock": held_while_forking(threading.Lock()),
    "a reentrant lock": held_while_forking(threading.RLock()),
    "expressions": Expression._lock,
    "compiling": kernels._compiling,
    "linking": runtime._linking,
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("name", LOCKS)
def test_a_forked_child_can_take_a_lock_that_another_thread_held(name):
    lock, taken, half_done = LOCKS[name], threading.Event(), threading.Event()

    def work() -> None:
        with lock:
            half_done.set()
            taken.set()
            time.sleep(0.1)
            half_done.clear()

    worker = threading.Thread(target=work)
    worker.start()
    taken.wait()
    child = os.fork()
    if child == 0:
        os._exit(0 if lock.acquire(timeout=5) and not half_done.is_set() else 1)
    worker.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert lock.acquire(timeout=5)
    lock.release()
