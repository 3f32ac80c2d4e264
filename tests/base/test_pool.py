"""Run jobs in many processes: results in order of completion, workers that die."""

import os
import signal
from pathlib import Path

import pytest

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


def test_every_job_comes_back_from_another_process():
    found = dict(pool.run(square, range(5), pool.Local(2, 5)))
    assert {place: value for place, (value, _) in found.items()} == {i: i * i for i in range(5)}
    assert os.getpid() not in {pid for _, pid in found.values()}


def test_a_worker_that_is_killed_is_replaced(tmp_path):
    jobs = [tmp_path / f"{number}" for number in range(3)]
    jobs[1].touch()  # this job succeeds, between two that kill their worker
    assert dict(pool.run(dies_once, jobs, pool.Local(2, 3))) == dict.fromkeys(range(3), "done")


def test_a_job_that_always_kills_its_worker_is_given_up_and_the_others_are_done():
    assert dict(pool.run(dies_at_two, range(4), pool.Local(2, 4))) == {0: 0, 1: 1, 2: None, 3: 3}


def test_an_error_of_the_function_is_raised():
    with pytest.raises(ValueError, match="no 0"):
        list(pool.run(fails, [0], pool.Local(1, 1)))


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


def test_no_ray_cluster(monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(SettingsError, match="no Ray cluster answers there"):
        pool.Ray("auto", None, 1)
