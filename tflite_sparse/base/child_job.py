"""What a child process does: one function of this package, its arguments and its result in files of a folder.

Progress is one JSON line per step, on a stream that the parent reads.
"""

from __future__ import annotations

import importlib
import json
import os
import pickle
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TextIO

from tflite_sparse.errors import TfliteSparseError

LOG = "log.txt"
"""The file in the folder of a job that takes what the child prints on standard output and error."""

_JOB, _RESULT = "job.pickle", "result.pickle"


@dataclass(frozen=True, eq=False, slots=True)
class Job:
    """A call, and the surroundings of the caller that it is to see.

    Attributes:
        function: ``package.module:name``, of this package.
        arguments: by name.
        environment: the variables of the caller.
        folder: the caller's current one.
        path: where the caller looks for modules.
    """

    function: str
    arguments: Mapping[str, Any]
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    folder: str = field(default_factory=os.getcwd)
    path: tuple[str, ...] = field(default_factory=lambda: tuple(filter(None, sys.path)))


@dataclass(frozen=True, eq=False, slots=True)
class Outcome:
    """What became of a job.

    Attributes:
        succeeded: whether ``value`` was returned; else it is the exception.
        value: of the function.
        cpu_seconds: user and system time of the process that ran it and of the processes that it waited for.
    """

    succeeded: bool
    value: Any
    cpu_seconds: float


def write(job: Job, folder: Path) -> None:
    """Put a job into its folder, which only the owner of this process may enter."""
    with (folder / _JOB).open("wb") as stream:
        pickle.dump(job, stream, protocol=pickle.HIGHEST_PROTOCOL)


def read_outcome(folder: Path) -> Outcome | None:
    """What the child left in the folder of its job; None where it ended before."""
    try:
        with (folder / _RESULT).open("rb") as stream:
            # Written by our own child, in a folder that only we may enter.
            found: Outcome = pickle.load(stream)  # noqa: S301
    except FileNotFoundError:
        return None
    return found


def run(folder: Path, steps: TextIO) -> NoReturn:
    """Do the job in ``folder`` in this process, write the outcome beside it, and end."""
    status = 1
    try:
        _run(folder, steps)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - the process ends here, and the log tells why
        traceback.print_exc()
    # Destructors of native runtimes may crash at exit, after the work is done.
    os._exit(status)


def _run(folder: Path, steps: TextIO) -> None:
    with (folder / _JOB).open("rb") as stream:
        job: Job = pickle.load(stream)  # noqa: S301 - written by our own parent
    _take_over(job)

    def on_step(done: int, total: int) -> None:
        print(json.dumps([done, total]), file=steps, flush=True)

    try:
        succeeded, value = True, _resolve(job.function)(**job.arguments, on_step=on_step)
    except Exception as error:  # noqa: BLE001 - handed to the parent, whatever it is
        succeeded, value = False, _portable(error)
    spent = os.times()
    cpu_seconds = spent.user + spent.system + spent.children_user + spent.children_system
    unfinished = folder / (_RESULT + ".part")
    with unfinished.open("wb") as result:
        pickle.dump(Outcome(succeeded, value, cpu_seconds), result, protocol=pickle.HIGHEST_PROTOCOL)
    unfinished.replace(folder / _RESULT)


def _take_over(job: Job) -> None:
    """Make the surroundings of the caller those of this process."""
    for name in os.environ.keys() - job.environment.keys():
        del os.environ[name]
    os.environ.update(job.environment)
    tempfile.tempdir = None  # found anew by the caller's TMPDIR: a fork has what its server found
    os.chdir(job.folder)
    sys.path[:] = job.path


def _resolve(function: str) -> Callable[..., Any]:
    module, _, name = function.partition(":")
    if not module.startswith("tflite_sparse."):
        raise ValueError(f"{function} is no function of this package")
    return getattr(importlib.import_module(module), name)  # type: ignore[no-any-return]


def _portable(error: Exception) -> Exception:
    """The error itself where it is one of this package's, which all can be pickled; else its text."""
    return error if isinstance(error, TfliteSparseError) else RuntimeError(f"{type(error).__name__}: {error}")
