"""Run jobs in many processes: results in order of completion, workers that die."""

import os
import signal
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from joblib.externals.loky.process_executor import BrokenProcessPool

from tflite_sparse.base import pool
from tflite_sparse.errors import SettingsError


def square(number):
    return number * number, os.getpid()


def dies_once(marker):
    """End the worker silently, the first time."""
    if not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def dies_at_two(number):
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def fails(number):
    raise ValueError(f"no {number}")


# Processes of this machine in place of those of a Ray cluster.
LOKY = SimpleNamespace(workers=2, smallest_pool=2, lost=(BrokenProcessPool,), options={"backend": "loky"})


def test_every_job_comes_back_from_another_process():
    found = dict(pool.on_ray(square, range(5), LOKY))
    assert {place: value for place, (value, _) in found.items()} == {i: i * i for i in range(5)}
    assert os.getpid() not in {pid for _, pid in found.values()}


def test_a_worker_that_is_killed_is_replaced(tmp_path):
    jobs = [tmp_path / f"{number}" for number in range(3)]
    jobs[1].touch()  # this job succeeds, between two that kill their worker
    assert dict(pool.on_ray(dies_once, jobs, LOKY)) == dict.fromkeys(range(3), "done")


def test_a_job_that_always_kills_its_worker_is_given_up_and_the_others_are_done():
    assert dict(pool.on_ray(dies_at_two, range(4), LOKY)) == {0: 0, 1: 1, 2: None, 3: 3}


def test_an_error_of_the_function_is_raised():
    with pytest.raises(ValueError, match="no 0"):
        list(pool.on_ray(fails, [0], LOKY))


def test_threads_yield_results_as_they_come():
    release = threading.Event()

    def first_waits(number):
        if number == 0:
            assert release.wait(20)
        return number * number, threading.current_thread()

    results = pool.in_threads(first_waits, range(3), 2, release.set)
    found = [next(results)]
    release.set()
    assert found[0][0] in (1, 2), "the first waits for it"
    found += results
    assert sorted((place, value) for place, (value, _) in found) == [(0, 0), (1, 1), (2, 4)]
    assert threading.current_thread() not in {thread for _, (_, thread) in found}


def test_an_error_in_a_thread_stops_what_runs_and_drops_what_waits():
    begun, stopped = [], threading.Event()

    def fails_at_one(number):
        begun.append(number)
        if number == 1:
            raise ValueError("no 1")
        assert stopped.wait(20)

    with pytest.raises(ValueError, match="no 1"):
        list(pool.in_threads(fails_at_one, range(9), 2, stopped.set))
    assert sorted(begun)[:2] == [0, 1]
    assert len(begun) <= 3  # the thread of the failed one may take another before it hears


def test_a_caller_that_stops_stops_what_runs():
    stopped = threading.Event()

    def wait(number):
        assert number == 0 or stopped.wait(20)

    results = pool.in_threads(wait, range(2), 2, stopped.set)
    next(results)
    results.close()
    assert stopped.is_set()


@pytest.mark.parametrize(
    ("cores", "gigabytes", "jobs", "expected"), [(8, 64, 100, 8), (8, 4, 100, 2), (8, 64, 3, 3), (4, 0.5, 10, 1)]
)
def test_workers_fit_cores_memory_and_jobs(monkeypatch, cores, gigabytes, jobs, expected):
    class Memory:
        available = gigabytes * 10**9

    monkeypatch.setattr("joblib.cpu_count", lambda: cores)
    monkeypatch.setattr("psutil.virtual_memory", lambda: Memory)
    workers = pool.Local(None, jobs)
    assert workers.workers == expected
    assert workers.threads == cores // expected


@pytest.mark.parametrize(("limit", "expected"), [("max", 8), ("3000000000", 2), ("1000", 0)])
def test_a_control_group_may_have_less_memory_than_the_machine(monkeypatch, tmp_path, limit, expected):
    class Memory:
        available = 8 * 10**9

    (tmp_path / "memory.max").write_text(limit + "\n")
    (tmp_path / "memory.current").write_text("1000000000\n")
    monkeypatch.setattr("psutil.virtual_memory", lambda: Memory)
    monkeypatch.setattr(pool, "_CGROUP", tmp_path)
    assert pool.free_bytes() == expected * 10**9
    monkeypatch.setattr(pool, "_CGROUP", tmp_path / "none")
    assert pool.free_bytes() == 8 * 10**9


def test_points_that_need_much_memory_are_fewer_at_once(monkeypatch):
    monkeypatch.setattr("joblib.cpu_count", lambda: 8)
    monkeypatch.setattr(pool, "free_bytes", lambda: 10 * 10**9)
    assert pool.Local(None, 8, 4 * 10**9).workers == 2
    assert pool.Local(5, 8, 4 * 10**9).workers == 5  # the given number
    assert pool.Local(5, 1, 4 * 10**9).threads == 8  # the only job gets all cores


def test_no_ray_cluster(monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(SettingsError, match="no Ray cluster answers there"):
        pool.Ray("auto", None, 1)
