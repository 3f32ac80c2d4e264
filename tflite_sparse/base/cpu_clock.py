"""Measure the CPU time of a command: this process and its children."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence

from tflite_sparse.base import child
from tflite_sparse.base.child import Spent
from tflite_sparse.results.cpu import ChildCpu, Cpu


@contextlib.contextmanager
def started() -> Iterator[Callable[[], Cpu]]:
    """Yield a function that returns the CPU time spent since the context was entered."""
    begun = time.process_time()
    with child.accounted() as spent:
        yield lambda: summed(time.process_time() - begun, spent)


def summed(own_seconds: float, spent: Sequence[Spent]) -> Cpu:
    """Sum CPU time by task.

    Args:
        own_seconds: of this process.
        spent: of its children (see :func:`tflite_sparse.base.child.accounted`), in the order in which they ended.
    """
    by_task: dict[str, list[float]] = {}
    for each in spent:
        by_task.setdefault(each.function, []).append(each.cpu_seconds)
    children = [
        ChildCpu(task=task, runs=len(seconds), seconds=round(sum(seconds), 3)) for task, seconds in by_task.items()
    ]
    return Cpu(own_seconds=round(own_seconds, 3), children=children)
