"""The program ``tflite-sparse`` in a fork of a process that has TensorFlow imported, which takes seconds.

The fork server is that of :mod:`multiprocessing`. It is a fresh interpreter, so nothing of the tests is in the program.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator, Mapping
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import IO

from tflite_sparse.base import child

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([*child._MODULES["tensorflow"], "tflite_sparse_cli.main", "tflite_sparse_cli.export"])


@contextlib.contextmanager
def running(
    *arguments: object, cwd: Path, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[ForkServerProcess, IO[str]]]:
    """Run the program in ``cwd``, with more variables of the environment; yield the process and its standard error.

    The program, and what it starts, can be told by this working folder. At the end of the block it has ended, or ends.
    """
    reader, writer = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_run, args=([*map(str, arguments)], str(cwd), dict(environment or {}), writer))
    process.start()
    writer.close()
    with os.fdopen(os.dup(reader.fileno()), encoding="utf-8") as stderr:
        reader.close()
        try:
            yield process, stderr
            process.join()
        finally:
            process.kill()
            process.join()


def _run(arguments: list[str], cwd: str, environment: Mapping[str, str], stderr: Connection) -> None:
    os.chdir(cwd)
    os.environ.update(environment)
    os.dup2(stderr.fileno(), 2)
    stderr.close()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
    child.fork_here("tensorflow")  # as the program does after its import of TensorFlow, which here has been before
    from tflite_sparse_cli.main import cli

    cli(arguments, prog_name="tflite-sparse")
