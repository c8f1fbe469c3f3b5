"""One thread for NumPy's BLAS."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from threadpoolctl import threadpool_limits

P = ParamSpec("P")
R = TypeVar("R")


def one_blas_thread(function: Callable[P, R]) -> Callable[P, R]:
    """The function, with NumPy's matrix products on one thread while it runs.

    The matrices here are small, and OpenBLAS's threads wait for each other in a busy loop: if other programs use the
    cores, two threads can take ten times as long as one. torch's threads are not changed.
    """

    @wraps(function)
    def limited(*args: P.args, **kwargs: P.kwargs) -> R:
        with threadpool_limits(1, "blas"):
            return function(*args, **kwargs)

    return limited
