"""Run a function of this package in a process of its own.

TensorFlow's converter and the runtimes are native code that a model can crash. In a child such a crash becomes an
exception that tells what happened, and what they print on the C level can be shown or dropped.

The child is a fresh interpreter, so a caller's script needs no guard against being imported again. Job and result
pass through files in a private temporary folder; progress is one JSON line per step on the child's standard output.
The child ends when its standard input does, that is, with its parent.
"""

from __future__ import annotations

import importlib
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tflite_sparse.errors import TfliteSparseError
from tflite_sparse.progress import Step, ignore_steps

_KILLED = "was killed"
_JOB, _RESULT, _LOG = "job.pickle", "result.pickle", "log.txt"
_LOG_TAIL_CHARACTERS = 2000

# Not ``-m``: that puts the current folder first on the path, and what lies there would be imported.
_START = """
import sys
sys.path[:] = [entry for entry in sys.path if entry]
from tflite_sparse.child import main
main(sys.argv[1])
"""


class ChildDiedError(TfliteSparseError):
    """The child ended without a result.

    Attributes:
        how: in words: the signal or the exit status.
        log: the last of what it wrote on standard error.
    """

    def __init__(self, how: str, log: str) -> None:
        super().__init__(f"the child process {how}")
        self.how = how
        self.log = log

    @property
    def was_killed(self) -> bool:
        """Whether somebody ended it with SIGKILL, as systems do that run out of memory."""
        return self.how == _KILLED

    def __reduce__(self) -> tuple[type[ChildDiedError], tuple[str, str]]:
        return type(self), (self.how, self.log)


def call(function: str, /, *, on_step: Step = ignore_steps, **arguments: Any) -> Any:
    """Call ``function`` ("package.module:name") of this package in a child and return what it returns.

    The function gets ``arguments`` and, as ``on_step``, a callback whose calls reach the caller's ``on_step``.

    Raises:
        ChildDiedError: it crashed or was killed.
        Exception: whatever the function raised, raised again here.
    """
    with tempfile.TemporaryDirectory(prefix="tflite-sparse-") as name:
        folder = Path(name)
        with (folder / _JOB).open("wb") as stream:
            pickle.dump((function, arguments), stream, protocol=pickle.HIGHEST_PROTOCOL)
        status = _run(folder, on_step)
        log = (folder / _LOG).read_text("utf-8", "replace")[-_LOG_TAIL_CHARACTERS:]
        if not (folder / _RESULT).exists():
            raise ChildDiedError(_in_words(status), log)
        with (folder / _RESULT).open("rb") as stream:
            # Written by our own child, in a folder that only we may enter.
            succeeded, value = pickle.load(stream)  # noqa: S301
    if succeeded:
        return value
    raise value


def _run(folder: Path, on_step: Step) -> int:
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)), PYTHONUNBUFFERED="1")
    with (folder / _LOG).open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _START, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
        )
        with process:
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    done, total = json.loads(line)
                    on_step(done, total)
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
    """What the child does: the job in the folder ``name``."""
    folder = Path(name)
    # Whatever native code prints on standard output must not mix with the progress lines.
    steps = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def on_step(done: int, total: int) -> None:
        print(json.dumps([done, total]), file=steps, flush=True)

    with (folder / _JOB).open("rb") as job:
        function, arguments = pickle.load(job)  # noqa: S301 - written by our own parent
    try:
        outcome = (True, _resolve(function)(**arguments, on_step=on_step))
    except Exception as error:  # noqa: BLE001 - handed to the parent, whatever it is
        outcome = (False, _portable(error))
    unfinished = folder / (_RESULT + ".part")
    with unfinished.open("wb") as result:
        pickle.dump(outcome, result, protocol=pickle.HIGHEST_PROTOCOL)
    unfinished.replace(folder / _RESULT)
    steps.close()
    # Destructors of native runtimes may crash at exit, after the work is done.
    os._exit(0)


def _resolve(function: str) -> Callable[..., Any]:
    module, _, name = function.partition(":")
    if not module.startswith("tflite_sparse."):
        raise ValueError(f"{function} is no function of this package")
    return getattr(importlib.import_module(module), name)  # type: ignore[no-any-return]


def _portable(error: Exception) -> Exception:
    """The error itself where it is one of this package's, which all can be pickled; else its text."""
    return error if isinstance(error, TfliteSparseError) else RuntimeError(f"{type(error).__name__}: {error}")


def _end_with_parent() -> None:
    while os.read(0, 4096):  # not through sys.stdin: a lock held by this thread would stop the interpreter from ending
        continue
    os._exit(1)
