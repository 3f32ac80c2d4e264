"""Many jobs at once, on this machine or on a Ray cluster, results as they come.

Both go through joblib. Jobs that a dying worker took with it are given out again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import psutil

from tflite_sparse.base import extras
from tflite_sparse.errors import SettingsError, one_line

BYTES_PER_WORKER = 1_500_000_000
"""What a job is taken to need where nobody knows better."""

_CGROUP = Path("/sys/fs/cgroup")

_SMALLEST_POOL = 2
"""In a pool of one, joblib would run the jobs in this process."""
_RAY = "tflite-sparse-ray"
# A machine that is lost takes its actors with it; Ray makes them anew on another one and gives them their jobs again.
# There are as many actors as cores. Each asks for half of one: for a whole one there would be no room after a loss, and
# those that ask for none all begin on the same machine.
_RAY_ACTORS = {"max_restarts": -1, "max_task_retries": -1, "scheduling_strategy": "SPREAD", "num_cpus": 0.5}

Job = TypeVar("Job")
Result = TypeVar("Result")


def room(jobs: int, bytes_per_worker: int = BYTES_PER_WORKER) -> int:
    """How many workers this machine has room for: cores, free memory and the number of jobs are the limits."""
    fit = free_bytes() // bytes_per_worker
    return max(1, min(_cores(), fit, jobs))


def free_bytes() -> int:
    """Memory that this process may still take: what the machine has free, or its control group (version 2) if less."""
    free = int(psutil.virtual_memory().available)
    try:
        limit, used = ((_CGROUP / name).read_text("ascii").strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return free  # the root group, or another system
    return free if limit == "max" else max(0, min(free, int(limit) - int(used)))


class Local:
    """The processes of this machine; the number of workers is as :func:`room` has it unless it is given."""

    is_here = True

    def __init__(self, workers: int | None, jobs: int, bytes_per_worker: int = BYTES_PER_WORKER) -> None:
        from joblib.externals.loky.process_executor import BrokenProcessPool

        self.workers = workers or room(jobs, bytes_per_worker)
        self.threads = max(1, _cores() // self.workers)
        self.smallest_pool = _SMALLEST_POOL
        self.lost: tuple[type[Exception], ...] = (BrokenProcessPool,)
        self.options: dict[str, Any] = {"backend": "loky"}


class Ray:
    """The workers of a Ray cluster; one for each of its cores unless their number is given.

    Raises:
        SettingsError: Ray is not installed, or no cluster answers at ``address``.
    """

    is_here = False

    def __init__(self, address: str, workers: int | None, jobs: int) -> None:
        import joblib

        try:
            import ray
            from ray.util.joblib.ray_backend import RayBackend
        except ImportError as error:
            raise SettingsError(f"Ray is not installed: {extras.install_command('ray')}") from error

        class Backend(RayBackend):  # type: ignore[misc]
            """Its pool calls back with each result, which is all that a generator needs."""

            supports_return_generator = True

        if not ray.is_initialized():
            try:
                ray.init(address=address, log_to_driver=False, logging_level="WARNING")
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise SettingsError(
                    f"ray_address = {address}: no Ray cluster answers there ({one_line(error)}). "
                    "Start one with: ray start --head."
                ) from error
        joblib.register_parallel_backend(_RAY, Backend)
        cores = int(ray.cluster_resources().get("CPU", 1))
        self.workers = min(workers or cores, cores, jobs)
        self.threads = max(1, cores // self.workers)
        self.smallest_pool = min(_SMALLEST_POOL, cores)  # Ray makes none that is larger than its cluster
        self.lost: tuple[type[Exception], ...] = (ray.exceptions.RayError,)
        self.options: dict[str, Any] = {"backend": _RAY, "ray_remote_args": _RAY_ACTORS}


def run(
    function: Callable[[Job], Result], jobs: Sequence[Job], workers: Local | Ray
) -> Iterator[tuple[int, Result | None]]:
    """Call ``function`` for each of ``jobs`` in processes of ``workers``.

    A worker that dies takes the jobs of this moment with it, whoever is to blame: they are given out again, and where
    not one came back, the first alone.

    Yields:
        Place and result of each job in the order in which they come; None for those whose worker died although they
        were alone.

    Raises:
        Exception: whatever ``function`` raised; the rest is given up.
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


def _placed(function: Callable[[Any], Any], place: int, job: Any) -> tuple[int, Any]:
    return place, function(job)
