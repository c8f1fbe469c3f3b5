import numpy  # noqa: F401, whose BLAS is looked at
import pytest
from threadpoolctl import threadpool_info

from tidegate.insight.threads import one_blas_thread


def threads():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_blas_runs_on_one_thread_inside_and_as_before_outside_also_after_an_error():
    before = threads()
    seen = []

    @one_blas_thread
    def measure(fails: bool) -> int:
        """What it does."""
        seen.append(threads())
        if fails:
            raise ValueError
        return 7

    assert measure(False) == 7
    with pytest.raises(ValueError, match=r"^$"):
        measure(True)
    assert all(set(inside) <= {1} for inside in seen)
    assert threads() == before
    assert measure.__doc__ == "What it does."
