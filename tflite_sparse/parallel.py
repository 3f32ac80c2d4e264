"""Many jobs at once, on this machine or on a Ray cluster, results as they come.

Both go through joblib. A worker that dies takes its jobs with it, no others: they are given out again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import joblib
import psutil

BYTES_PER_WORKER = 1_500_000_000
"""Memory of one training of a small model with the converter after it, as measured: TensorFlow alone takes 0.5 GB."""

Job = TypeVar("Job")
Result = TypeVar("Result")


def workers(jobs: int, bytes_per_worker: int = BYTES_PER_WORKER) -> int:
    """How many workers this machine has room for: cores, free memory and the number of jobs are the limits."""
    room = int(psutil.virtual_memory().available // bytes_per_worker)
    return max(1, min(int(joblib.cpu_count()), room, jobs))


def threads(count: int) -> int:
    """How many threads each of ``count`` workers on this machine may take."""
    return max(1, math.floor(int(joblib.cpu_count()) / count))


def run(function: Callable[[Job], Result], jobs: Sequence[Job], count: int) -> Iterator[tuple[int, Result]]:
    """Call ``function`` for each of ``jobs`` in ``count`` processes; places and results in the order they come."""
    parallel = joblib.Parallel(n_jobs=count, return_as="generator_unordered", pre_dispatch="n_jobs", batch_size=1)
    yield from parallel(joblib.delayed(_placed)(function, place, job) for place, job in enumerate(jobs))


def _placed(function: Callable[[Any], Any], place: int, job: Any) -> tuple[int, Any]:
    return place, function(job)
