"""The CPU time of a command: its own and that of its child processes. Seconds, user and system."""

from __future__ import annotations

from tflite_sparse.results.part import Part


class ChildCpu(Part):
    """The CPU time of the children that ran one task.

    Attributes:
        task: ``module:function`` of this package.
        runs: number of children that ended with a result.
        seconds: of all of them.
    """

    task: str
    runs: int
    seconds: float


class Cpu(Part):
    """The CPU time of a command, by process.

    Attributes:
        own_seconds: of the process that ran the command.
        children: one entry for each task, in the order of their first runs.
    """

    own_seconds: float
    children: list[ChildCpu]
