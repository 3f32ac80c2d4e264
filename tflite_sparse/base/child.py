"""Run a function of this package in a process of its own.

TensorFlow's converter and the runtimes are native code that a model can crash. In a child process, a crash becomes an
exception that describes it, and output of native code can be shown or dropped.

A child is a fork of a server (:mod:`tflite_sparse.base.fork_server`) that has imported what the job needs; inside of
:func:`kept` one fork runs several jobs. On systems without safe forks it is a fresh interpreter. Neither runs the
caller's script again. Job and result pass through files in a private temporary folder, where the child makes its own
temporary files as well. Steps are lines that the child writes. The child ends when the call does, or the block, and
with its caller.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from tflite_sparse.base import child_job, fork_server, imports, scratch
from tflite_sparse.base.forked import Forked, Kept, pass_on
from tflite_sparse.base.progress import Step, ignore_steps
from tflite_sparse.errors import TfliteSparseError

Needs = Literal["runtimes", "tensorflow", "fresh"]
"""Imports of a child: the runtimes; those and TensorFlow; or none, in an interpreter of its own."""

_RUNTIMES = ("ai_edge_litert.interpreter", "ai_edge_litert.compiled_model", "tflite_sparse.runtime.litert")
_MODULES: dict[Needs, tuple[str, ...]] = {
    "runtimes": _RUNTIMES,
    "tensorflow": (*_RUNTIMES, "tensorflow"),
}
_KILLED = "was killed"
_LOG_TAIL_CHARACTERS = 2000
_TRIES = 2  # a server may end just when a request is sent

# Not ``-m``, which puts the current folder first on the path: its files would shadow modules.
_START = """
import sys
sys.path[:] = [entry for entry in sys.path if entry]
from tflite_sparse.base.child import main
main(sys.argv[1])
"""


class ChildDiedError(TfliteSparseError):
    """The child ended without a result.

    Attributes:
        how: the signal or the exit status, in words.
        log: the end of its standard error.
    """

    def __init__(self, how: str, log: str) -> None:
        super().__init__(f"the child process {how}")
        self.how = how
        self.log = log

    @property
    def was_killed(self) -> bool:
        """Whether SIGKILL ended it, as systems send when memory runs out."""
        return self.how == _KILLED

    def __reduce__(self) -> tuple[type[ChildDiedError], tuple[str, str]]:
        return type(self), (self.how, self.log)


@dataclass(frozen=True, slots=True)
class Spent:
    """CPU time, user and system, of a child that ended with a result.

    Attributes:
        function: the function it ran, ``module:name``, without the name of this package.
        cpu_seconds: of the child and of the processes that it waited for.
    """

    function: str
    cpu_seconds: float


class Group:
    """Children that may be stopped together, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kills: set[Callable[[], None]] = set()
        self._is_stopped = False

    def stop(self) -> None:
        """Kill the children of the group; later ones do not start."""
        with self._lock:
            self._is_stopped = True
            for kill in self._kills:
                kill()

    @contextlib.contextmanager
    def holding(self, kill: Callable[[], None]) -> Iterator[None]:
        """A child is running inside of the block, and ``kill`` ends it."""
        with self._lock:
            self._kills.add(kill)
            if self._is_stopped:
                kill()
        try:
            yield
        finally:
            with self._lock:
                self._kills.discard(kill)


_spent: ContextVar[list[Spent] | None] = ContextVar("_spent", default=None)


@contextlib.contextmanager
def accounted() -> Iterator[list[Spent]]:
    """Collect the CPU time of children called inside of the block, in the order in which they end."""
    found: list[Spent] = []
    token = _spent.set(found)
    try:
        yield found
    finally:
        _spent.reset(token)


_kept: ContextVar[Kept | None] = ContextVar("_kept", default=None)


@contextlib.contextmanager
def kept(shared: Iterable[np.ndarray] = ()) -> Iterator[None]:
    """Run the calls inside of the block in one child, one after the other, as far as they need the runtimes.

    Each call still tells its own crash, and the next one gets another child. Calls with variables of their own, and
    those of other threads, get children of their own.

    Args:
        shared: arrays that several of the calls are given: large ones are passed once. They must not change inside of
            the block.
    """
    outer = _kept.get()
    if outer is not None and outer.is_ours:
        yield
        return
    with scratch.folder() as folder:
        keeper = Kept(child_job.SharedArrays(shared, folder))
        token = _kept.set(keeper)
        try:
            yield
        finally:
            _kept.reset(token)
            if keeper.is_ours:  # a fork of this process leaves the child to it
                keeper.close()


def prepare(needs: Needs = "runtimes") -> None:
    """Start a server with the imports that later children need, if possible.

    Call it at the start of a command, before threads exist. A small process with one thread and without TensorFlow
    becomes the parent of the server; any other starts the server as a new interpreter.
    """
    fork_server.ensure(_MODULES[needs], _start_server)


def may_fork_here() -> bool:
    """Return whether :func:`fork_here` would work."""
    return fork_server.may_fork_here()


def import_modules(needs: Needs) -> None:
    """Import in this process what children need."""
    with imports.uncollected():
        for module in _MODULES[needs]:
            importlib.import_module(module)


def fork_here(needs: Needs) -> None:
    """Fork this process as the server of later children, if that is possible and there is none yet.

    Call it only after importing what they need and before using it: children see the modules in their present state.
    """
    fork_server.ensure(_MODULES[needs], fork_server.fork_here)


def call(
    function: str,
    /,
    *,
    on_step: Step = ignore_steps,
    needs: Needs = "runtimes",
    environment: Mapping[str, str] = MappingProxyType({}),
    group: Group | None = None,
    **arguments: Any,
) -> Any:
    """Call ``function`` ("package.module:name") of this package in a child and return what it returns.

    Args:
        function: receives ``arguments`` and a callback ``on_step`` that forwards to the caller's ``on_step``.
        on_step: receives the child's steps.
        needs: imports of the child.
        environment: variables of the child that differ from those of the caller.
        group: may stop the child.
        **arguments: of the function.

    Raises:
        ChildDiedError: it crashed or was killed.
        Exception: any that the function raised.
    """
    with scratch.folder() as folder:
        # What the child leaves in temporary files, be it killed, goes with the folder.
        variables = {**os.environ, **environment, "TMPDIR": str(folder)}
        keeper = _kept.get() if needs == "runtimes" and not environment else None
        if keeper is not None and not keeper.is_ours:
            keeper = None
        shared = None if keeper is None else keeper.shared
        child_job.write(child_job.Job(function, arguments, variables), folder, shared)
        status = _run(folder, on_step, needs, group or Group(), keeper)
        log = (folder / child_job.LOG).read_text("utf-8", "replace")[-_LOG_TAIL_CHARACTERS:]
        outcome = child_job.read_outcome(folder)
    if outcome is None:
        raise ChildDiedError(_in_words(status), log)
    spent = _spent.get()
    if spent is not None:
        spent.append(Spent(function.removeprefix("tflite_sparse."), outcome.cpu_seconds))
    if outcome.succeeded:
        return outcome.value
    assert isinstance(outcome.value, Exception)
    raise outcome.value


def _start_server(modules: Sequence[str]) -> fork_server.Client | None:
    if "tensorflow" not in modules and "tensorflow" not in sys.modules and fork_server.may_fork_here():
        import_modules("runtimes")
        return fork_server.fork_here(modules)
    return fork_server.start_beside(modules)


def _run(folder: Path, on_step: Step, needs: Needs, group: Group, keeper: Kept | None) -> int:
    """Run the job in ``folder`` and return the exit status, negative for a signal."""
    for _ in range(_TRIES if needs != "fresh" else 0):
        server = fork_server.ensure(_MODULES[needs], _start_server)
        if server is None:
            break
        try:
            if keeper is not None:
                return keeper.run(server, folder, on_step, group.holding)
            with contextlib.closing(Forked(server, folder, may_follow=False)) as forked:
                return forked.follow(on_step, group.holding)
        except fork_server.ServerGoneError:
            fork_server.forget(server)
    return _in_fresh_interpreter(folder, on_step, group)


def _in_fresh_interpreter(folder: Path, on_step: Step, group: Group) -> int:
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)), PYTHONUNBUFFERED="1")
    with (folder / child_job.LOG).open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _START, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
        )
    with process, group.holding(process.kill):
        try:
            assert process.stdout is not None
            pass_on(process.stdout, on_step)
            return process.wait()
        finally:
            process.kill()


def _in_words(status: int) -> str:
    if status < 0:
        names = {
            signal.SIGSEGV: "crashed (segmentation fault)",
            signal.SIGABRT: "aborted",
            signal.SIGKILL: _KILLED,
            signal.SIGALRM: "took too long and was stopped",
        }
        return names.get(-status, f"was ended by signal {-status}")  # type: ignore[call-overload, no-any-return]
    return f"ended with status {status}"


def main(name: str) -> None:
    """Run the job in the folder ``name``: the entry point of a fresh interpreter."""
    # Native code may print on standard output, which must not mix with the progress lines.
    steps = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    child_job.run(Path(name), steps)


def _end_with_parent() -> None:
    while os.read(0, 4096):  # sys.stdin would hold a lock that keeps the interpreter from ending
        continue
    os._exit(1)
