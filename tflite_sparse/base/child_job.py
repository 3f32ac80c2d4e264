"""Run functions of this package in a child process, each with arguments and result in files of a folder.

Large arrays lie in files of their own, which the child maps: it copies only the pages that it writes to. Progress is
one JSON line per step, on a stream that the parent reads. A child that runs several jobs ends each with the line
:data:`DONE`.
"""

from __future__ import annotations

import importlib
import json
import mmap
import os
import pickle
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, TextIO

import numpy as np

from tflite_sparse.errors import TfliteSparseError

LOG = "log.txt"
"""Name of the file in the job's folder with the child's standard output and error."""

DONE = None
"""What the line behind the last step of a job says, in JSON, where another job may follow."""

_JOB, _ARRAYS, _RESULT = "job.pickle", "arrays.json", "result.pickle"
_LARGE_BYTES = 1 << 20  # of an array with a file of its own


@dataclass(frozen=True, eq=False, slots=True)
class Job:
    """A function call with the caller's environment.

    Attributes:
        function: ``package.module:name``, of this package.
        arguments: by name.
        environment: the caller's environment variables.
        folder: the caller's current folder.
        path: the caller's ``sys.path``.
    """

    function: str
    arguments: Mapping[str, object]
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    folder: str = field(default_factory=os.getcwd)
    path: tuple[str, ...] = field(default_factory=lambda: tuple(filter(None, sys.path)))


@dataclass(frozen=True, eq=False, slots=True)
class Outcome:
    """The result of a job.

    Attributes:
        succeeded: whether the function returned; else it raised.
        value: the returned value or the exception.
        cpu_seconds: user and system time that the job took of the process that ran it, and of the processes that it
            waited for.
    """

    succeeded: bool
    value: object
    cpu_seconds: float


class LargeArrays:
    """Files of large arrays, each written once for all jobs that are given it; the arrays must not change meanwhile.

    Args:
        folder: of the files, which only the owner of this process may enter.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[tuple[int, int], tuple[Path, memoryview]] = {}

    def file_of(self, content: memoryview) -> Path:
        """Return the file with the bytes of an array."""
        key = (np.frombuffer(content, np.uint8).ctypes.data, content.nbytes)
        if key not in self._files:
            path = self._folder / f"{len(self._files)}.array"
            path.write_bytes(content)
            self._files[key] = (path, content)  # the view holds the memory, so that nothing else gets its address
        return self._files[key][0]


def write(job: Job, folder: Path, arrays: LargeArrays) -> None:
    """Write a job to its folder, which only the owner of this process may enter, and its large arrays to theirs."""
    files: list[str] = []

    def is_small(buffer: pickle.PickleBuffer) -> bool:
        content = buffer.raw()
        if content.nbytes < _LARGE_BYTES:
            return True
        files.append(str(arrays.file_of(content)))
        return False

    with (folder / _JOB).open("wb") as stream:
        pickle.dump(job, stream, protocol=pickle.HIGHEST_PROTOCOL, buffer_callback=is_small)
    (folder / _ARRAYS).write_text(json.dumps(files), "utf-8")


def read_outcome(folder: Path) -> Outcome | None:
    """Read the outcome from the folder of a job; None if the child ended before writing it."""
    try:
        with (folder / _RESULT).open("rb") as stream:
            # Written by our own child, in a folder that only this user may enter.
            found: Outcome = pickle.load(stream)  # noqa: S301
    except FileNotFoundError:
        return None
    return found


def run(folder: Path, steps: TextIO, more: TextIO | None = None) -> NoReturn:
    """Run a job in this process, write the outcome beside it, and end the process.

    Args:
        folder: of the job.
        steps: receives its steps.
        more: folders of jobs that follow, one a line, in JSON; they write their output to :data:`LOG` there. None: none
            follow.
    """
    status = 1
    try:
        spent = _run(folder, steps, 0.0)
        if more is not None:
            print(json.dumps(DONE), file=steps, flush=True)
            while line := more.readline():
                folder = Path(json.loads(line))
                _write_output_to(folder / LOG)
                spent = _run(folder, steps, spent)
                print(json.dumps(DONE), file=steps, flush=True)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - written to the log; the process ends here
        traceback.print_exc()
    # Destructors of native runtimes may crash at exit, after the work is done.
    os._exit(status)


def _run(folder: Path, steps: TextIO, spent_before: float) -> float:
    """Run the job in ``folder``; return the CPU time of this process and its children so far."""
    arrays = [_mapped(Path(name)) for name in json.loads((folder / _ARRAYS).read_text("utf-8"))]
    with (folder / _JOB).open("rb") as stream:
        job: Job = pickle.load(stream, buffers=arrays)  # noqa: S301 - written by our own parent
    _take_over(job)

    def on_step(done: int, total: int) -> None:
        print(json.dumps([done, total]), file=steps, flush=True)

    try:
        succeeded, value = True, _resolve(job.function)(**job.arguments, on_step=on_step)
    except Exception as error:  # noqa: BLE001 - passed on to the parent
        succeeded, value = False, _portable(error)
    times = os.times()
    spent = times.user + times.system + times.children_user + times.children_system
    unfinished = folder / (_RESULT + ".part")
    with unfinished.open("wb") as result:
        pickle.dump(Outcome(succeeded, value, spent - spent_before), result, protocol=pickle.HIGHEST_PROTOCOL)
    unfinished.replace(folder / _RESULT)
    return spent


def _mapped(path: Path) -> mmap.mmap:
    """Return the bytes of a file, which may be written to in this process without changing the file."""
    with path.open("rb") as stream:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)


def _write_output_to(path: Path) -> None:
    """Make a file standard output and error of this process, whose streams are unbuffered."""
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def _take_over(job: Job) -> None:
    """Set environment, folder and path of this process to those of the caller."""
    for name in os.environ.keys() - job.environment.keys():
        del os.environ[name]
    os.environ.update(job.environment)
    tempfile.tempdir = None  # makes tempfile read the caller's TMPDIR; a fork inherits the server's
    os.chdir(job.folder)
    sys.path[:] = job.path


def _resolve(function: str) -> Callable[..., object]:
    module, _, name = function.partition(":")
    if not module.startswith("tflite_sparse."):
        raise ValueError(f"{function} is no function of this package")
    return getattr(importlib.import_module(module), name)  # type: ignore[no-any-return]


def _portable(error: Exception) -> Exception:
    """Return an error of this package unchanged, since all can be pickled; another one as its text."""
    return error if isinstance(error, TfliteSparseError) else RuntimeError(f"{type(error).__name__}: {error}")
