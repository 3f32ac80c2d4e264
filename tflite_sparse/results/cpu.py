"""The CPU time of a command: its own and that of its child processes. Seconds, user and system."""

from __future__ import annotations

import pydantic


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", defer_build=True)


class ChildCpu(_Part):
    """What the children cost that ran one task.

    Attributes:
        task: ``module:function`` of this package.
        runs: how many children ended with a result.
        seconds: of all of them.
    """

    task: str
    runs: int
    seconds: float


class Cpu(_Part):
    """Where the CPU time went.

    Attributes:
        own_seconds: of the process that was asked.
        children: one entry for each task, in the order of their first runs.
    """

    own_seconds: float
    children: list[ChildCpu]
