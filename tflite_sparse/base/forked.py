"""A fork of a server that runs one job, or several, one after the other."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

from tflite_sparse.base import child_job
from tflite_sparse.base.fork_server import Client, Running
from tflite_sparse.base.progress import Step

Holding = Callable[[Callable[[], None]], contextlib.AbstractContextManager[None]]
"""Returns a context inside of which the given function may be called from any thread, to kill the child."""


class Forked:
    """A child that runs jobs until it is closed, which kills it.

    Args:
        server: makes the fork.
        folder: of the first job.
        may_follow: whether other jobs may follow.

    Raises:
        ServerGoneError: the server has ended.
    """

    def __init__(self, server: Client, folder: Path, *, may_follow: bool) -> None:
        self._resources = contextlib.ExitStack()
        with contextlib.ExitStack() as passed:  # descriptors that the child has as well
            reader, writer = os.pipe()
            self._steps: IO[bytes] = self._resources.enter_context(os.fdopen(reader, "rb"))
            passed.callback(os.close, writer)
            self._more: IO[bytes] | None = None
            more = None
            if may_follow:
                more, ours = os.pipe()
                passed.callback(os.close, more)
                self._more = self._resources.enter_context(os.fdopen(ours, "wb", 0))
            log = passed.enter_context((folder / child_job.LOG).open("wb"))
            try:
                self._child: Running = server.start(folder, writer, log.fileno(), more)
            except BaseException:
                self.close()
                raise
        self._resources.callback(self._child.close)

    def follow(self, on_step: Step, holding: Holding) -> int:
        """Pass on the steps of the job until it ends.

        Returns:
            0 where the job is done; else the exit status of the child, negative for a signal.
        """
        with holding(self._child.kill):
            if pass_on(self._steps, on_step):
                return 0
            return self._child.wait()

    def begin(self, folder: Path) -> None:
        """Begin another job, after one that is done; :meth:`follow` also says if the child is gone."""
        assert self._more is not None
        with contextlib.suppress(BrokenPipeError):
            self._more.write(json.dumps(os.fspath(folder)).encode() + b"\n")

    def close(self) -> None:
        """Kill the child if it is running."""
        self._resources.close()


class Kept:
    """A child for all jobs of a block, and another one where it has died.

    Attributes:
        shared: arrays that several of the jobs are given.
    """

    def __init__(self, shared: child_job.SharedArrays) -> None:
        self.shared = shared
        self._process = os.getpid()
        self._forked: Forked | None = None

    @property
    def is_ours(self) -> bool:
        """Whether this process made it; forks of this process have a copy."""
        return self._process == os.getpid()

    def run(self, server: Client, folder: Path, on_step: Step, holding: Holding) -> int:
        """Run the job in ``folder`` and return 0, or how the child ended.

        A job that ends a child in which others ran before is run again in one of its own: what is told of it is not
        what an earlier one left behind.

        Raises:
            ServerGoneError: the server has ended.
        """
        if self._forked is not None:
            self._forked.begin(folder)
            status = self._follow(on_step, holding)
            if status == 0:
                return status
        self._forked = Forked(server, folder, may_follow=True)
        return self._follow(on_step, holding)

    def _follow(self, on_step: Step, holding: Holding) -> int:
        assert self._forked is not None
        status = 1
        try:
            status = self._forked.follow(on_step, holding)
        finally:
            if status:
                self.close()
        return status

    def close(self) -> None:
        """Kill the child, if there is one."""
        if self._forked is not None:
            self._forked.close()
            self._forked = None


def pass_on(steps: IO[bytes], on_step: Step) -> bool:
    """Pass on the steps of a job; return whether it is done in a process that goes on, False at the end of it."""
    for line in steps:
        found = json.loads(line)
        if found is child_job.DONE:
            return True
        on_step(*found)
    return False
