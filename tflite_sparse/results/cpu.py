"""The CPU time of a command: its own and that of its child processes. Seconds, user and system."""

from __future__ import annotations

from tflite_sparse.results.part import Part


class ChildCpu(Part):
    """What the children cost that ran one task.

    Attributes:
        task: ``module:function`` of this package.
        runs: how many children ended with a result.
        seconds: of all of them.
    """

    task: str
    runs: int
    seconds: float


class Cpu(Part):
    """Where the CPU time went.

    Attributes:
        own_seconds: of the process that was asked.
        children: one entry for each task, in the order of their first runs.
    """

    own_seconds: float
    children: list[ChildCpu]
