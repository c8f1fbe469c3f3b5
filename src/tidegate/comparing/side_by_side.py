"""Jobs run side by side through joblib, which can also run them on a cluster."""

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from tidegate.comparing.job import Job
from tidegate.comparing.training import run
from tidegate.errors import ArgumentError

Label = TypeVar("Label")


def run_all(jobs: Sequence[tuple[Label, Job]], workers: int | None) -> Iterator[tuple[Label, Mapping[str, Any]]]:
    """Yield the label and the result of each job as it ends; the longest jobs begin first.

    Where the caller has chosen a backend with `joblib.parallel_config`, it is used: "dask" and "ray" run the jobs on a
    cluster. Otherwise as many processes of this machine as `workers` says, None for all processors.
    """
    from joblib import Parallel, delayed, parallel_config

    order = sorted(range(len(jobs)), key=lambda i: -jobs[i][1].cost())
    here = type(active()[0]).__name__ == "LokyBackend"  # processes of this machine
    calls = [delayed(numbered)(i, jobs[i][1], os.getpid() if here else None) for i in order]
    if chosen_by_caller():
        yield from labelled(jobs, results(Parallel, calls, workers))
        return
    with parallel_config(
        backend="loky",
        n_jobs=workers or processors(),
        inner_max_num_threads=1,
        initializer=end_with,  # also processes that never get a job, which would wait for one for minutes
        initargs=(os.getpid(),),
    ):
        yield from labelled(jobs, results(Parallel, calls, None))


def numbered(i: int, job: Job, owner: int | None) -> tuple[int, dict[str, Any]]:
    """The result of job i. Runs in another process. owner: the process that waits for it, if on the same machine."""
    with ending_with(owner):
        return i, run(job)


@contextmanager
def ending_with(owner: int | None) -> Iterator[None]:
    """A context in which this process ends soon after `owner` was killed: nobody would keep its result."""
    done = threading.Event() if owner is None or owner == os.getpid() else end_with(owner)
    try:
        yield
    finally:
        done.set()


def end_with(owner: int) -> threading.Event:
    """Let this process end soon after its parent, `owner`, was killed, until the event that is returned is set."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(1.0):
            if os.getppid() != owner:  # loky's processes are children of the one that waits for their results
                os._exit(1)

    if os.name == "posix":
        threading.Thread(target=watch, daemon=True).start()
    return done


def labelled(jobs: Sequence[tuple[Label, Job]], found: Iterator[tuple[int, Any]]) -> Iterator[tuple[Label, Any]]:
    return ((jobs[i][0], result) for i, result in found)


def results(parallel: Any, calls: list[Any], workers: int | None) -> Iterator[tuple[int, Any]]:
    """Results in the order in which they end, as far as the backend can: "ray" only returns lists, so that its jobs are
    handed over in several portions, and those of a finished portion are kept when the comparison is stopped."""
    backend, _ = active()
    if backend.supports_return_generator:
        yield from parallel(n_jobs=workers, return_as="generator_unordered", batch_size=1)(calls)
        return
    at_once = 4 * workers_at_once(workers)
    for begin in range(0, len(calls), at_once):
        yield from parallel(n_jobs=workers, batch_size=1)(calls[begin : begin + at_once])


def chosen_by_caller() -> bool:
    """Whether the caller has set another backend, or a number of processes, with joblib's parallel_config."""
    backend, n_jobs = active()
    return n_jobs is not None or type(backend).__name__ != "LokyBackend"


def active() -> tuple[Any, int | None]:
    """The backend of joblib that is in use here, and its number of jobs where one was set."""
    from joblib.parallel import get_active_backend

    found: Any = get_active_backend()
    return found


def processors() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def workers_at_once(workers: int | None) -> int:
    """How many jobs run at once."""
    from joblib import effective_n_jobs

    if chosen_by_caller():
        return effective_n_jobs(workers or active()[1] or -1)
    return workers or processors()


def check_workers(workers: int | None) -> None:
    if workers is not None and (not isinstance(workers, int) or isinstance(workers, bool) or workers < 1):
        raise ArgumentError(f"`workers` must be an integer of at least 1, got {workers!r}.")
