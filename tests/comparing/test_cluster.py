"""A comparison on a cluster: the backend that the caller has chosen with joblib runs the jobs."""

from pathlib import Path

import dask
import joblib
import pytest
import torch
from distributed import Client, LocalCluster
from tests.comparing.own import Leaky
from tests.comparing.test_compare import numbers

from tidegate.comparing import compare, side_by_side
from tidegate.comparing.job import NamedTask
from tidegate.comparing.training import run


@pytest.fixture(scope="module")
def cluster():
    with (
        dask.config.set({"distributed.admin.low-level-log-length": 0}),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as made,
        Client(made) as client,
    ):
        yield client


def test_a_dask_cluster_of_two_workers_gives_the_local_numbers(cluster, small, tmp_path):
    options = {"seeds": 3, "parameters": {"length": 4}, "settings": small}
    local = compare("recall", ["gru", Leaky], workers=1, **options)
    with joblib.parallel_config(backend="dask"):
        assert side_by_side.workers_at_once(None) == 2
        found = compare("recall", ["gru", Leaky], out=tmp_path, **options)
    assert numbers(found) == numbers(local)
    assert len(list((tmp_path / "jobs").glob("*.json"))) == 6
    places = cluster.run(lambda: __import__("os").getpid())
    assert len(set(places.values())) == 2


class ListBackend(joblib.parallel.SequentialBackend):
    """A backend that, like ray's, only returns lists."""

    supports_return_generator = False


def test_a_backend_that_only_returns_lists_gets_the_jobs_in_portions(small, monkeypatch):
    ended = []
    monkeypatch.setattr(side_by_side, "run", lambda job: ended.append(job.seed) or run(job))
    joblib.register_parallel_backend("lists", ListBackend)
    seen = []

    class Watch(compare.__globals__["Progress"]):
        def ended(self, arm, outcome, *, tuning, stored):
            seen.append(len(ended))

    with joblib.parallel_config(backend="lists"):
        found = compare("recall", ["rnn"], seeds=10, settings=small, progress=Watch())
    assert [o.seed for o in found.arms[0].outcomes] == list(range(10))
    assert seen == [4] * 4 + [8] * 4 + [10] * 2  # results were there before all jobs had run


def test_jobs_that_are_threads_of_one_process_do_not_disturb_each_other(small):
    options = {"seeds": 40, "parameters": {"length": 4}, "settings": small.with_values({"steps": 1, "eval_every": 1})}
    before = torch.get_num_threads()
    local = compare("recall", ["gru", "rnn"], workers=1, **options)
    torch.set_num_threads(2)
    with joblib.parallel_config(backend="threading", n_jobs=4):
        found = compare("recall", ["gru", "rnn"], **options)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)
    assert numbers(found) == numbers(local)


def test_the_number_of_processes_of_the_caller_is_used(small):
    assert not side_by_side.chosen_by_caller()
    with joblib.parallel_config(n_jobs=3):
        assert side_by_side.chosen_by_caller()
        assert side_by_side.workers_at_once(None) == 3
    assert side_by_side.workers_at_once(5) == 5
    assert side_by_side.workers_at_once(None) == side_by_side.processors()


def test_the_longest_jobs_begin_first(small, monkeypatch):
    begun = []
    monkeypatch.setattr(side_by_side, "run", lambda job: begun.append(job.cost()) or run(job))
    compare("recall", ["rnn", "lstm"], seeds=2, match="units", vary={"hidden": (4, 9)}, settings=small, workers=1)
    assert begun == sorted(begun, reverse=True)
    assert len(set(begun)) == 4


def test_threads_that_need_the_same_file_wait_until_it_is_imported(small, tmp_path):
    """Each of several threads asks for a task whose file takes a while to import."""
    own = (Path(__file__).parent / "own.py").read_text()
    asked = [NamedTask(f"{tmp_path / f'slow{k}.py'}:Echo", (("length", 4),)) for k in range(3)]
    for k in range(3):
        (tmp_path / f"slow{k}.py").write_text(f"import time\ntime.sleep(0.1)\n{own}")
    with joblib.parallel_config(backend="threading", n_jobs=6):
        made = joblib.Parallel()(joblib.delayed(task.make)() for task in asked * 4)
    assert {task.length for task in made} == {4}
