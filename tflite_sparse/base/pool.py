"""Run many jobs at once and yield results as they come: in threads of this process, or on a Ray cluster by joblib."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TypeVar

import psutil

from tflite_sparse.base import extras
from tflite_sparse.errors import SettingsError, one_line

BYTES_PER_WORKER = 1_500_000_000
"""Assumed memory of a job whose need is unknown."""

_CGROUP = Path("/sys/fs/cgroup")

_SMALLEST_POOL = 2
"""In a pool of one, joblib would run the jobs in this process."""
_RAY = "tflite-sparse-ray"
# A lost machine takes its actors with it; Ray restarts them on another one with their jobs. There is one actor for each
# core. Each reserves half a core: with whole ones no room would be left after a loss, and with none all actors would
# start on one machine.
_RAY_ACTORS = {"max_restarts": -1, "max_task_retries": -1, "scheduling_strategy": "SPREAD", "num_cpus": 0.5}

Job = TypeVar("Job")
Result = TypeVar("Result")


def room(jobs: int, bytes_per_worker: int = BYTES_PER_WORKER) -> int:
    """Return the number of workers that this machine has room for, limited by cores, free memory and jobs."""
    fit = free_bytes() // bytes_per_worker
    return max(1, min(_cores(), fit, jobs))


def free_bytes() -> int:
    """Return the memory that this process may still use: the smaller of the machine's and its control group's (v2)."""
    free = int(psutil.virtual_memory().available)
    try:
        limit, used = ((_CGROUP / name).read_text("ascii").strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return free  # the root group, or another system
    return free if limit == "max" else max(0, min(free, int(limit) - int(used)))


class Local:
    """Threads of this process that wait for children: as many as :func:`room` allows, or the given number.

    There are never more than jobs, so that the cores are divided among those that run.
    """

    def __init__(self, workers: int | None, jobs: int, bytes_per_worker: int = BYTES_PER_WORKER) -> None:
        self.workers = max(1, min(workers, jobs)) if workers else room(jobs, bytes_per_worker)
        self.threads = max(1, _cores() // self.workers)


class Ray:
    """The workers of a Ray cluster: the given number, or one for each core.

    Raises:
        SettingsError: Ray is not installed, or no cluster answers at ``address``.
    """

    def __init__(self, address: str, workers: int | None, jobs: int) -> None:
        import joblib

        try:
            import ray
            from ray.util.joblib.ray_backend import RayBackend
        except ImportError as error:
            raise SettingsError(f"Ray is not installed: {extras.install_command('ray')}") from error

        class Backend(RayBackend):  # type: ignore[misc]
            """Supports callbacks with each result, which generators need."""

            supports_return_generator = True

        if not ray.is_initialized():
            try:
                ray.init(address=address, log_to_driver=False, logging_level="WARNING")
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise SettingsError(
                    f"`ray_address={address!r}`: no Ray cluster answers there ({one_line(error)}). "
                    "Start one with: ray start --head."
                ) from error
        joblib.register_parallel_backend(_RAY, Backend)
        cores = int(ray.cluster_resources().get("CPU", 1))
        self.workers = min(workers or cores, cores, jobs)
        self.threads = max(1, cores // self.workers)
        self.smallest_pool = min(_SMALLEST_POOL, cores)  # Ray's pool must fit its cluster
        self.lost: tuple[type[Exception], ...] = (ray.exceptions.RayError,)
        self.options: dict[str, object] = {"backend": _RAY, "ray_remote_args": _RAY_ACTORS}


def in_threads(
    function: Callable[[Job], Result], jobs: Sequence[Job], workers: int, stop: Callable[[], None]
) -> Iterator[tuple[int, Result]]:
    """Call ``function`` for each of ``jobs`` in threads, which wait for a child process each.

    Args:
        function: is called in a thread.
        jobs: its arguments.
        workers: number of threads.
        stop: ends running calls; called when their results are not wanted any more.

    Yields:
        Index and result of each job in the order of completion.

    Raises:
        Exception: any that ``function`` raised; the other jobs are dropped.
    """
    with ThreadPoolExecutor(workers) as executor:
        running = {executor.submit(function, job): place for place, job in enumerate(jobs)}
        try:
            for done in as_completed(running):
                yield running[done], done.result()
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            stop()
            raise


def on_ray(function: Callable[[Job], Result], jobs: Sequence[Job], workers: Ray) -> Iterator[tuple[int, Result | None]]:
    """Call ``function`` for each of ``jobs`` in processes of a cluster.

    When a worker dies, all jobs running then are lost and run again. If none of them returns, the first runs alone.

    Yields:
        Index and result of each job in the order of completion; None for a job whose worker died while it ran alone.

    Raises:
        Exception: any that ``function`` raised; the other jobs are dropped.
    """
    import joblib

    left = dict(enumerate(jobs))
    alone = False
    while left:
        before = len(left)
        batch = list(left.items())[: 1 if alone else None]
        at_once = min(workers.workers, len(batch))
        parallel = joblib.Parallel(
            n_jobs=max(at_once, workers.smallest_pool),
            return_as="generator_unordered",
            pre_dispatch=at_once,
            batch_size=1,
            **workers.options,
        )
        try:
            for place, result in parallel(joblib.delayed(_placed)(function, *each) for each in batch):
                del left[place]
                yield place, result
        except workers.lost:
            if alone:
                place, _ = batch[0]
                del left[place]
                yield place, None
        alone = len(left) == before


def _cores() -> int:
    import joblib

    return int(joblib.cpu_count())


def _placed(function: Callable[[Job], Result], place: int, job: Job) -> tuple[int, Result]:
    return place, function(job)
