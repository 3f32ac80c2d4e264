"""Run functions of this package in a child process, each with arguments and result in files of a folder.

Large arrays lie in a file that the child maps: it copies only the pages that it writes to. Progress is one JSON line
per step, on a stream that the parent reads. A child that runs several jobs ends each with the line :data:`DONE`.
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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, TextIO

import numpy as np

from tflite_sparse.errors import TfliteSparseError

LOG = "log.txt"
"""Name of the file in the job's folder with the child's standard output and error."""

DONE = None
"""What the line behind the last step of a job says, in JSON, where another job may follow."""

_JOB, _ARRAYS, _PLACES, _RESULT = "job.pickle", "arrays", "places.json", "result.pickle"
_LARGE_BYTES = 1 << 20
_ALIGNMENT = 64  # of an array in a file, in bytes: more than any element or vector register needs

_Place = tuple[str, int, int]  # a file, and where in it an array begins and how many bytes it has


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


class _ArrayFile:
    """A file of arrays, one after the other."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, content: memoryview) -> _Place:
        with self._path.open("ab") as stream:
            offset = -(-stream.tell() // _ALIGNMENT) * _ALIGNMENT
            stream.write(bytes(offset - stream.tell()))
            stream.write(content)
        return str(self._path), offset, content.nbytes


class SharedArrays:
    """Arrays that several jobs are given, and the file that they are written to when the first of these jobs is.

    Args:
        arrays: must not change meanwhile. Only large ones whose elements lie without gaps are shared.
        folder: of the file, which only the owner of this process may enter.
    """

    def __init__(self, arrays: Iterable[np.ndarray], folder: Path) -> None:
        self._arrays = {_memory(array): array for array in arrays}
        self._file = _ArrayFile(folder / _ARRAYS)
        self._places: dict[tuple[int, int], _Place] = {}

    def place(self, content: memoryview) -> _Place | None:
        """Return where the bytes of an array lie; None: it is not shared."""
        memory = _memory(np.frombuffer(content, np.uint8))
        if memory not in self._arrays:
            return None
        if memory not in self._places:
            self._places[memory] = self._file.append(content)
        return self._places[memory]


def write(job: Job, folder: Path, shared: SharedArrays | None = None) -> None:
    """Write a job to its folder, which only the owner of this process may enter, with its large arrays."""
    own = _ArrayFile(folder / _ARRAYS)
    places: list[_Place] = []

    def is_small(buffer: pickle.PickleBuffer) -> bool:
        content = buffer.raw()
        if content.nbytes < _LARGE_BYTES:
            return True
        places.append((shared and shared.place(content)) or own.append(content))
        return False

    with (folder / _JOB).open("wb") as stream:
        pickle.dump(job, stream, protocol=pickle.HIGHEST_PROTOCOL, buffer_callback=is_small)
    (folder / _PLACES).write_text(json.dumps(places), "utf-8")


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
    buffers = _mapped(json.loads((folder / _PLACES).read_text("utf-8")))
    with (folder / _JOB).open("rb") as stream:
        job: Job = pickle.load(stream, buffers=buffers)  # noqa: S301 - written by our own parent
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


def _memory(array: np.ndarray) -> tuple[int, int]:
    """Return the address and the number of bytes of an array's elements."""
    return array.ctypes.data, array.nbytes


def _mapped(places: Sequence[_Place]) -> list[memoryview]:
    """Return the bytes in places of files; this process may write to them without changing the files."""
    files = {}
    for name in {name for name, _, _ in places}:
        with Path(name).open("rb") as stream:
            files[name] = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY))
    return [files[name][offset : offset + nbytes] for name, offset, nbytes in places]


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
